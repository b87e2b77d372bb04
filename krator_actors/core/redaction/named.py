"""Patterns of what is secret or personal by the name or the words that stand beside it."""

# ruff: noqa: E501 - a pattern is one line, because it is read against a format and not as prose
from __future__ import annotations

from typing import Final

from krator_actors.core.redaction.linear import compiled

_VALUE_WORD = (
    rb"pass|pwd|psw|secret|token|key|sign|sig|auth|cred|cookie|session|sess|sid|jwt|bearer|otp|pin|"
    rb"cvv|cvc|csc|2fa|mfa|mnemonic|phrase|seed_words|webhook|hmac|sas|csrf|xsrf|pat|wif|xprv|xpub|"
    rb"account|acct|uid|user[-_]?id|customer|member|client|app|tenant|project|sort[-_]?code|bic|"
    rb"portfolio|routing|wallet|address|"
    rb"iban|card|pan|ssn|sin|social|itin|nino|tax|national|vat|ein|passport|licen[cs]e|dl|nhs|"
    rb"phone|tel|mobile|fax|cell|msisdn|gsm|whatsapp|contact|mail|name|holder|beneficiary|dob|birth|"
    rb"street|zip|postcode|contrase|mot_?de_?pass|code|sso|wort|senha|parola|haslo|losenord|adgangsk|"
    rb"salasana|heslo|jelszo|sifre|mdp|clave|geheim|segreto|secreto|jeton|chiave|schl|cle_|seed|swift|"
    rb"pw|ahv|avs|sv_|nr|pesel|bsn|cpf|cnpj|curp|cnp|aadha|hkid|nie|rut|cuit|tfn|abn|person|identi|"
    rb"insurance|medica|utr|ust|ausweis|document|doc_|permit|plate|kto|rekening|clabe|bsb|aba|rtn|"
    rb"acc_|login|parol|lozinka|kode|kata|mima|puk|answer|handy|mobil|tlf|celular|movil|portable|"
    rb"puhelin|signal|caller|callee|sms|correo|courriel|reply|apellido|prenom|cognome|inhaber|owner|"
    rb"payee|signatory|ubo|geb|naissance|nacim|nascita|born|addr|anschrift|domicilio|shipping|"
    rb"billing|residen|indirizzo|adresse|plz|lykil|unlock|pasuwado|reisepass|passap|pasaporte|"
    rb"konto|compte|cuenta|nummer|steuer|fiscal|nif|dni|tin|profile|iiban|tan|two|one_time|state"
)
MAY_BE_NAMED: Final = compiled(_VALUE_WORD + rb"|basic|digest|negotiate", any_case=True)
"""without any of these nothing is found by its name; looked for first, as for MAY_BE_COMMAND"""

_LETTER = rb"[A-Za-z0-9_.$\x80-\xff-]"
_NAME = (
    rb"(?:"
    + _LETTER
    + rb"*(?i:"
    + _VALUE_WORD
    + rb")(?:"
    + _LETTER
    + rb"|[\[\]]|\\+u00[0-9a-fA-F]{2})*)"
)
_CLOSE = rb"(?:\\*[\"'`]\]?|&quot;|%22|\]|[ ]?\*{1,2})?"
_EQUALS = (
    rb"(?:\s*(?:\|\|[:=]?|<-|->|=>|<=|:{1,3}=|\?=|\.=|={1,3}|:|%3[Dd]|%3[Aa]|\\u003[dD])\s*)"
    rb"(?:[|>][-+]?[ ]*(?:\n|\\n)\s*)?(?:\{\s*\\*[\"']?(?:value|val|raw|plain|text|data)\\*[\"']?\s*[:=]\s*)?"
)
_SAID = rb"\s+(?:is|was|are|of|to|(?:set|changed|reset|updated|rotated) to|equals|value|no\.?|number|num|lautet|ist|est|es|jest|is now|now|should be|must be|will be)[ :=#]+(?:is\s+|was\s+|now\s+)?"
_WRAP = rb"(?:![A-Za-z_]{1,24} )?(?:[A-Za-z_]{1,24}\()?[bBrRuUfF]{0,2}"
_QUOTED = (
    rb"\"(?:[^\"\\\n]|\\[^\n])*(?:\"|\n|\\?$)"
    rb"|'(?:[^'\\\n]|\\[^\n])*(?:'|\n|\\?$)"
    rb"|`[^`\n]*(?:`|\n|$)"
    rb"|\\\"(?:[^\"\\\n]|\\\\+[^\\\n]|\\[^\"\\\n]|\\\\+\")*(?:\\\"|\n|\\?$)"
    rb"|\\'(?:[^'\\\n]|\\\\+[^\\\n]|\\[^'\\\n])*(?:\\'|\n|\\?$)"
    rb"|\\{4,}\"[^\"\\\n]*(?:\\+\")?"
    rb"|&quot;[^&\n]*(?:&quot;)?|%22(?:[^%\s\"']|%[^2\s\"']|%2[^2\s\"'])*(?:%22)?"
)
_DEEP = rb"\\{3}\"(?:[^\"\\\n]|\\{1,2}[^\"\\\n]|\\{4,}[^\"\n]?)*(?:\\{3}\"|\n|\\{0,3}$|\\{0,2}\"|\\{4,}\")"
_LIST = rb"\[(?:[^\]\"'\n]|\"(?:[^\"\\\n]|\\[^\n])*(?:\"|\n|\\?$)|'(?:[^'\\\n]|\\[^\n])*(?:'|\n|\\?$))*(?:\]|\n|$)"
_BARE = rb"(?:[^\s\"'`\\]|\\+[^\s\"'`\\nrt])+"

_TUPLE = rb"\((?:None|[, ]|\"(?:[^\"\\\n]|\\[^\n])*(?:\"|\n|\\?$)|'(?:[^'\\\n]|\\[^\n])*(?:'|\n|\\?$)){2,}\)"

ASSIGNED: Final = compiled(
    rb"(" + _NAME + rb")(" + _CLOSE + rb"(?:" + _EQUALS + rb"|" + _SAID + rb"))"
    rb"("
    + _WRAP
    + rb"(?:"
    + _DEEP
    + rb"|"
    + _QUOTED
    + rb")|"
    + _LIST
    + rb"|"
    + _TUPLE
    + rb"|"
    + _BARE
    + rb")"
)
"""name, what stands between, value with its quotes"""

XML: Final = compiled(
    rb"<((?:[A-Za-z0-9]{1,20}:)?" + _NAME + rb")((?:\s[^<>]*)?>)((?:[^<\n]|\n|<[^/])+)</"
)
"""name, rest of the tag, content; a placeholder of ours has no closing tag"""

PAIR: Final = compiled(
    rb"([\"'](?:(?:/[\w~-]+)*/)?)("
    + _NAME
    + rb")(\\*[\"']\s*,?\s*(?:\\*[\"']?[Tt]ype\\*[\"']?\s*[:=]\s*\\*[\"'][A-Za-z]{1,40}\\*[\"']\s*,\s*)?\\*[\"']?(?:[Vv]alue|val)\\*[\"']?\s*[:=]\s*)("
    + _QUOTED
    + rb")"
)
"""a quote, a name as a value, what stands between, the named value with its quotes"""

PERSON: Final = compiled(
    rb"(" + _NAME + rb")(" + _CLOSE + rb"(?:" + _EQUALS + rb"|" + _SAID + rb"))"
    rb"([A-Z\x80-\xff][A-Za-z\x80-\xff'.-]*(?: [A-Z\x80-\xff][A-Za-z\x80-\xff'.-]*){1,4})"
)
"""name, what stands between, two to five words that begin with a capital"""

ARGUMENT: Final = compiled(
    rb"([(,{\[]\s*)(" + _NAME + rb")(\s*[:=]\s*)([bBrRuUfF]{0,2}(?:" + _QUOTED + rb"))"
)
"""bracket, name, what stands between, value with its quotes: ``key = Key(password='...')``"""

LISTED: Final = compiled(
    rb"([(\[]\s*[bBrRuUfF]{0,2}\\*[\"'`])("
    + _NAME
    + rb")(\\*[\"'`]\s*,\s*)([bBrRuUfF]{0,2}(?:"
    + _QUOTED
    + rb"))"
)
"""bracket, name, what stands between, value with its quotes: ``("password", "...")``"""

COUPLE: Final = compiled(rb"(\[\s*)(" + _NAME + rb")(,\s*)([^\s,\[\]\"']+\])")
"""bracket, name, what stands between, value with its bracket: ``[password, tulip]``"""

VARIABLE: Final = compiled(
    rb"(\bname:\s*)(" + _NAME + rb")((?:\s|\\n)+value:\s*)([^\s\"'`\\]+|" + _QUOTED + rb")"
)
"""the word name, a name, what stands between, the named value: a container's environment"""

INPUT: Final = compiled(
    rb"((?:^|\n|\\n))("
    + _NAME
    + rb")((?:\r?\n|\\n)[^\n]{0,300}?input_value=)([bBrRuUfF]{0,2}(?:"
    + _QUOTED
    + rb")|[^\s,\]'\"]+)"
)
"""line's begin, name, what stands between, value with its quotes: a refusal of pydantic's"""

TITLES: Final = compiled(
    rb"(?:^|[\n\"]|\\n)[\w \"'.-]*[,;\t][\w \"'.,;\t-]*(?i:" + _VALUE_WORD + rb")|"
    rb"(?:^|[\n\"]|\\n)[\w \"'.-]*(?i:" + _VALUE_WORD + rb")[\w \"'.-]*[,;\t]"
)
"""without it no line is the heading of a table with names that tell"""

SPOKEN: Final = compiled(
    rb"(" + _NAME + rb")(\\*[\"'`]?[ \t]+(?:->?[ \t]+)?)"
    rb"(\[[^\]\s\"'\[]+\]|\([^\s\"'()]+\)|" + _QUOTED + rb"|[A-Za-z0-9+][^\s\"'`\\,;]*)"
)
"""name, what stands between, value with its quotes: ``invalid api_key 'abc'``"""

SEED: Final = compiled(
    rb"(mnemonic|phrase|seed[ _-]?words?)("
    + _CLOSE
    + rb"(?:"
    + _EQUALS
    + rb"|"
    + _SAID
    + rb"|[ \t]+))"
    rb"([bu]?\\*[\"']?)([a-z]{3,8}(?:[ ,]+[a-z]{3,8}){11,})",
    any_case=True,
)
"""name, what stands between, a quote, twelve words and more"""

ELEMENT: Final = compiled(
    rb"((?:key|name|id|field)=\\*[\"'])(" + _NAME + rb")(\\*[\"'][^<>\n]{0,80}>)([^<>\n]+)",
    any_case=True,
)
"""an attribute's begin, a name, what stands between, the element's content"""

SETTING: Final = compiled(
    rb"((?:\bSET|\bHSET [^\s]{1,200}|(?i:\b(?:config(?:ure)?|secret) set))\s+)("
    + _NAME
    + rb")(\s+(?:--[a-z]{1,20}[ =])?)("
    + _QUOTED
    + rb"|[^\s\"'`\\=:][^\s\"'`\\]*)"
)
"""a command that sets, a name, what stands between, the value"""

CHANGED: Final = compiled(
    rb"("
    + _NAME
    + rb")(\\*[\"'`]?(?: (?:was |has been )?(?:changed|rotated|updated|switched))? from )("
    + _QUOTED
    + rb"|[^\s\"'`]+)( to )("
    + _QUOTED
    + rb"|[^\s\"'`]+)"
)
"""name, what stands between, the old value, what stands between, the new one"""

CHANGED_TO: Final = compiled(
    rb"("
    + _NAME
    + rb")(\\*[\"'`]?(?:\s*:\s+|\s*=\s*|\s+changed:?\s+))("
    + _QUOTED
    + rb"|[^\s\"'`)]+)(\s*[-=]>\s*)("
    + _QUOTED
    + rb"|[^\s\"'`]+)"
)
"""the same with an arrow: ``api_secret: <unset> -> 'x'``"""

_ID = rb"(\bid\\*[\"']?\s*[:=]\s*(?:UUID\()?\\*[\"'])([0-9a-f-]{36})(\\*[\"']\)?\s*,"
_PRIVATE = rb"\\*[\"']?(?:private_?key|(?:api_?)?secret(?:_?key)?)\\*[\"']?\s*[:=]"
HOLDER: Final = compiled(_ID + rb"[^\n]{0,300}?\baccount_number)")
"""the id of an account in a venue's report of it: what is before, the id, what follows"""

KEY_ID: Final = compiled(_ID + rb"\s*" + _PRIVATE + rb")", any_case=True)
"""the id of an API key in the file that a venue gives out with it, before the key"""

ID_BEHIND_KEY: Final = compiled(
    rb"(" + _PRIVATE + rb"\s*\\*[\"']?<[a-z]+>\\*[\"']?\s*,\s*\\*[\"']?"
    rb"id\\*[\"']?\s*[:=]\s*\\*[\"'])([0-9a-f-]{36})()",
    any_case=True,
)
"""the same behind the key, when that is redacted already"""

QUERY: Final = compiled(rb"([?&;])(" + _NAME + rb")(=|%3[Dd])([^&;\s\"'<>`]+)")
"""separator, name, what stands between, value: what follows the first of a query's fields"""

_PROGRAMS = (
    rb"redis-(?:cli|benchmark)\b[^\n;|]{0,120}?\s-a"
    rb"|(?:sshpass|mongo[a-z]*|(?:docker|podman|az|helm) [a-z ]{0,12}login)\b[^\n;|]{0,120}?\s-p"
    rb"|ldap[a-z]+\b[^\n;|]{0,120}?\s-w|(?:un)?zip\b[^\n;|]{0,120}?\s-P|openssl enc\b[^\n;|]{0,120}?\s-k"
    rb"|(?:sqlcmd|bcp|ipmitool|mosquitto_(?:pub|sub))\b[^\n;|]{0,120}?\s-P"
    rb"|(?:cqlsh|useradd|usermod|tsm)\b[^\n;|]{0,120}?\s-p|(?:plink|pscp|psftp)\b[^\n;|]{0,120}?\s-pw"
    rb"|add-generic-password\b[^\n;|]{0,120}?\s-w|(?:vault login|ngrok (?:config add-)?authtoken|authtoken|rclone obscure|auth-pass \S+\s)"
    rb"|rabbitmqctl (?:add_user|change_password) \S+\s|htpasswd (?:-[a-zA-Z]+ )*-[a-zA-Z]*n[a-zA-Z]*(?: -[a-zA-Z]+)* [^-\s]\S*\s"
    rb"|(?:ht|mosquitto_)passwd (?:-[a-mo-zA-Z]+ )*-[a-mo-zA-Z]*b[a-mo-zA-Z]*(?: -[a-mo-zA-Z]+)* [^-\s]\S* \S+\s"
    rb"|net user \S+\s|from-literal[= ][A-Za-z0-9_.-]+=|smbclient\b[^\n;|]{0,120}?\s-U \S+%|lftp\b[^\n;|]{0,120}?\s-u \S+,|/p(?:ass)?:"
    rb"|(?:mysql|mariadb)[a-z-]*\b[^\n;|]{0,120}?\s-p|7za?\b[^\n;|]{0,120}?\s-p|ssh-keygen\b[^\n;|]{0,120}?\s-[NP]"
)
COMMAND: Final = (
    # FIX's tags of passwords, which end where the next tag begins
    compiled(rb"((?:^|[|;\x01\s]|\^A)(?:554|925)=)()((?:[^|\x01\s^]|\^[^A|\x01\s])+)"),
    *(
        compiled(form + rb"(\\*[\"']?)([^\s\"'\\=:][^\s\"'\\]*)")
        for form in (
            # -u name:password, in a line or in a list of arguments
            rb"((?:^|[\s\"'(\[,])(?:-u|-U|--user|--proxy-user|--auth|--userpwd)(?:\\*[\"']?,?[\s=]\s*)\\*[\"']?[^\s:\"'\\]{0,64}:)",
            rb"(\b(?:" + _PROGRAMS.replace(rb"\s-", rb"[\s\"']-") + rb")(?:\\*[\"'],)?\s?)",
            rb"((?:\b|\\n)AUTH(?:\\r\\n|\r\n)(?:\$[0-9]+(?:\\r\\n|\r\n)[^\\\r\n]+(?:\\r\\n|\r\n))?\$[0-9]+(?:\\r\\n|\r\n))",
            rb"(\bpass:|(?:^|[>\"'])\s?AUTH (?:[A-Za-z0-9_.-]+ )?|\b(?:requirepass|masterauth)\s+|\blogin\s+\S+\s+password\s+)",
            rb"((?i:\b(?:password|passphrase|passwort|identified by|secret))\s+(?:[EeNn]|[Uu]&)?\\*[\"'])",
            rb"((?i:\b(?:mot de passe|zugangscode|zugangsdaten|contrase\S{1,6}a|cl\S{1,6} (?:secr\S{1,6}te|api|priv\S{1,6}e)))\s*[:=]\s*)",
            rb"(\bname=\\*[\"']" + _NAME + rb"\\*[\"'](?:\s|\\r|\\n){2,8})",
            # .pgpass: host, port, database and user are before the password
            rb"((?:^|[\s\"'=:])(?:[A-Za-z0-9_.-]+|\*):(?:[56][0-9]{3}|\*):(?:[A-Za-z_][\w-]*|\*):[A-Za-z_][\w-]*:)",
            rb"(\busername=[^\n]{0,200}?\bresponse=)",
            # what Redis's MONITOR and its protocol show; rules of its access list
            rb"([\"'](?i:AUTH2?)\\*[\"'],?\s+(?:\\*[\"'][^\"'\s]*[\"'],?\s+\\*[\"'])?)",
            rb"(\bAUTH (?:[A-Za-z0-9_.-]+ |PLAIN |LOGIN ))",
            rb"(\bAUTH2 [^\s\"']+ |\bpgp_sym_(?:en|de)crypt\([^,\n]{1,120},\s*\\*[\"']|\bchpasswd\s*<<<\s*\\*[\"']?[a-z_][\w-]*:|\bsecret create \S+ -\s*<<<\s*)",
            rb"((?i:requirepass|masterauth|sentinel-pass)\\*[\"'](?:\s|\\n|,|[0-9]\))+)",
            # a venue's log-on by WebSocket; an account's id and its token
            rb"([\"'](?:action|op|method|event|type)\\*[\"']\s*:\s*\\*[\"'](?:auth|login|authenticate)\\*[\"']\s*,\s*\\*[\"'](?:params|args|data|key)\\*[\"']\s*:\s*\[?\s*\\*[\"'])",
            rb"(\bClient\(\\*[\"']<[a-z]+>\\*[\"'],\s*\\*[\"'])",
            # chpasswd's line
            rb"(\b(?:echo|printf) (?:-[en] )?\\*[\"']?[a-z_][\w-]*:)",
        )
    ),
)
"""what stands before, an opening quote, a password in a shell's command"""

MAY_BE_COMMAND: Final = compiled(
    rb"[\s\"'(\[,]--?[a-z]|pass|auth|login|identified|secret|from-literal|net user|/p:|add_user|obscure|zugang|contrase|cl[^ ]{1,6} |name=|echo|printf|pgp_sym|client\(|554=|925=|:[56*][0-9]{0,3}:[a-z_*]",
    any_case=True,
)
"""without any of these no COMMAND is there; looked for first, because most lines have none"""

FLAG: Final = compiled(
    rb"((?:^|[\s\"'(\[,])--?" + _NAME + rb")((?:\s|\\?[\"'],)\s*)"
    rb"(\"[^\"\n]*(?:\"|\n|$)|'[^'\n]*(?:'|\n|$)|[^\s\"'`=:-][^\s\"'`]*)"
)

HEADER: Final = compiled(
    rb"\b((?:proxy-|x-)?authorization|(?:set-)?cookie)(\\*[\"']?\s*[:=,]\s*(?:b?\\*[\"'])?)"
    rb"((?:[A-Za-z0-9-]{3,20}\s+)?[^\s\"'\\]+(?:[;,]\s+[^\s\"'\\=]+=[^\s\"'\\]*)*)",
    any_case=True,
)

SCHEME: Final = compiled(
    rb"\b(bearer|basic|digest|negotiate|apikey|api-key|(?:api|access|secret|private|signing) key|passphrase|"
    rb"password|secret|token|signature|listenkey|listen key|key|hmac)s?"
    rb"([ \t]+|\s*[:=#(<\[]+[ \t]*)([A-Za-z0-9._~+/=|:%!@$#^&*-]{6,})",
    any_case=True,
)
"""a word of secrets and then, with no more than a blank between, what may be one"""

CONTEXT: Final = compiled(
    rb"\b(passport|driver'?s?[ _-]licen[cs]e|driving[ _-]licen[cs]e|licen[cs]e|\bDL|ssn|social security|"
    rb"national id|tax id|phone|mobile|cell|tel|telephone|fax|call(?:ed)?|text(?:ed)?|dial|whatsapp|reach (?:me|us|him|her)|"
    rb"account|acct|a/c|routing|aba|sort code|card|uid|pin|otp|cvv|date of birth|dob|born(?: on)?|"
    rb"best\S{1,6}tigungscode|sicherheitscode|code de v\S{1,6}rification|steuer[a-z-]{0,30}|tin|"
    rb"2fa|mfa|totp|two[- ]factor|verification|security code|login code|sms code|confirmation|one[- ]time|"
    rb"portfolio|konto(?:nummer)?|kontonr|compte|cuenta|conto|itin|ein|nhs|bank|medicare|member|customer|client|patient|voter)\b"
    rb"((?:[ \t:=#(,-]|\b(?:id|no|num|nr|number|code|password|passcode|is|was|at|on|me|us|of|card|account|my|the|with|value|holder|ending|in|lautet|ist|est|es)\b\.?){1,8})"
    rb"([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[A-Za-z]{0,4}[-]?[0-9][A-Za-z0-9*]*(?:[ ./\x2d][0-9][A-Za-z0-9]*){0,6})",
    any_case=True,
)

SENT_CODE: Final = compiled(
    rb"\b()([0-9]{4,8})( is (?:your|the) [a-z0-9 -]{0,40}(?:code|password|pin|otp)\b| to (?:confirm|verify|log ?in)\b)",
    any_case=True,
)
"""nothing, a code, the words that follow it"""
