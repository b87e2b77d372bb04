"""What a field's name says of its value: nothing, or which kind of secret it is."""

# ruff: noqa: E501 - a pattern is one line, because it is read against a format and not as prose
from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import re2

from krator_actors.core.redaction.checks import is_contract, is_digest, is_operational, is_random
from krator_actors.core.redaction.sentences import goes_on

Doubt = Literal["none", "said", "word", "digits", "id", "long", "code", "postal", "random"]
"""When a value is left alone that is not plainly operational: never; when a sentence goes on
with it; when it is a word; unless it
has four digits; unless it is written like the number of a document; unless it has six digits and
is no UUID; unless it has three; unless it has words and a number; unless it looks drawn by lot."""


class Field(NamedTuple):
    """What stands in a field."""

    kind: bytes
    doubt: Doubt


_MIN_DIGITS: Final = 4
_MAX_WORD_CHARS: Final = 15
_MIN_SHORT_ID: Final = 6
_MIN_CODE_DIGITS: Final = 3
_MAX_NAME_BYTES: Final = 256
_MIN_JOINED_CHARS: Final = 6
_MIN_PLURAL: Final = 4
_MIN_LONG_DIGITS: Final = 6
_MAX_SHORT_DIGITS: Final = 5
_MIN_ID_CHARS: Final = 6
_MIN_WALLET_CHARS: Final = 25

_ESCAPE: Final = re2.compile(rb"\\+u00([0-9a-fA-F]{2})")
_WORDS: Final = re2.compile(rb"[A-Z]+[a-z]*|[a-z]+|[0-9]+")

_DRAWN: Final = re2.compile(rb"[0-9a-f]{7,}|[A-Z0-9]{6}-[A-Z0-9]{5}-[A-Z0-9]{6}")
"""a revision's id, or one of Kraken's"""
_CLASS: Final = re2.compile(rb"(?:[a-z_0-9]+\.)*[A-Z][a-z]+(?:[A-Z]+[a-z]*)+")
_AGENT: Final = re2.compile(
    rb"[a-z]{3,}(?:tor|der|ger|ler|mer|ner|ker|cher|sher|fier|ver|iter|zer|rer|sor|ster)"
    rb"|actor|service|registry|policy|error|exception|warning|client|factory|cache|pool|queue|repository"
    rb"|middleware|settings|bucket|guard|task|job|mixin|test|tests|api|model|schema|view|event"
)
"""what a class that works on secrets is: ``TokenBucketLimiter``, ``SecretRotationService``"""

_HARMLESS_ENDS: Final = frozenset(
    b"count counts env len length size type types limit limits ttl expires expiry expired"
    b" expiration at ms secs sec seconds ns us age path file dir attempts attempt failed failures"
    b" valid invalid bucket rate status state version policy required present ok enabled disabled"
    b" used left max min per change name names prefix method algorithm alg kind format encoding"
    b" window interval timeout delay error errors code index idx usage available"
    b" created updated rotation rotated remaining missing ratio total step steps level changed"
    b" symbol asset decimals empty exceeded exhausted denied rounds backend ref refs days hours"
    b" minutes columns column provider manager store host port endpoint capacity refill scope"
    b" scopes strategy filter permissions permission mode source prompt issuer audience source"
    b" encryption algo revision fingerprint cost salt_rounds iterations class module function func handler".split()
)
_HARMLESS_KEYS: Final = frozenset(
    b"idempotency cache partition primary foreign sort dedup row stream redis unique"
    b" duplicate lookup group order config ordering object map dict index composite natural"
    b" surrogate range hash shard lock any press hot series metric label message event gpg pgp"
    b" restored restore public pub host known constraint violates websocket".split()
)
_KINDS: Final[tuple[tuple[bytes, Doubt, bytes], ...]] = (
    (b"<password>", "none", b"password passwd passphrase pass_phrase pwd passcode pass_wd"),
    (
        b"<password>",
        "none",
        b"pgpassword keypass storepass requirepass redis_auth rediscli_auth passcode mdp",
    ),
    (b"<password>", "none", b"passwort kennwort contrasena motdepasse mot_de_passe wachtwoord"),
    (b"<password>", "none", b"db_pass pg_pass mysql_pass redis_pass smtp_pass mail_pass ftp_pass"),
    (b"<password>", "none", b"user_pass admin_pass root_pass proxy_pass login_pass dbpass"),
    (b"<password>", "none", b"senha parola haslo losenord adgangskode salasana heslo jelszo sifre"),
    (b"<password>", "none", b"wifi_pass sudo_pass ssh_pass auth_pass masterauth pwd_hash pw_hash"),
    (b"<password>", "none", b"parool lozinka parole lykilord kodeord"),
    (b"<password>", "none", b"matkhau kata_sandi katasandi mima pasuwado mot_passe parolea"),
    (b"<password>", "said", b"pass pw psw"),
    (b"<password>", "word", b"clave passphr passwrd pswd passw pasw unlock_code"),
    (b"<phrase>", "none", b"mnemonic seed_phrase recovery_phrase backup_phrase seed_words"),
    (b"<phrase>", "none", b"secret_phrase secret_recovery_phrase wallet_phrase wallet_seed"),
    (b"<phrase>", "random", b"seed"),
    (b"<pin>", "code", b"pin otp totp cvv cvc cvv2 csc tan verification_code sms_code"),
    (b"<pin>", "code", b"mfa_code tfa_code 2fa_code two_factor_code security_code login_code"),
    (b"<pin>", "code", b"confirmation_code one_time_code one_time_pin one_time_password"),
    (b"<secret>", "word", b"totp_secret otp_secret mfa 2fa two_factor recovery_code backup_code"),
    (b"<secret>", "word", b"scratch_code emergency_code rescue_code security_answer geheim"),
    (b"<pin>", "code", b"card_cvc card_cvv verify_code smscode otp_code pin_code puk auth_pin"),
    (b"<pin>", "code", b"authenticator_code g2fa google_code email_code einmalcode passkey_pin"),
    (b"<secret>", "none", b"secret secrets secretkey geheimnis segreto secreto"),
    (b"<signature>", "word", b"signature sig sign api_sign hmac digest_auth x_amz_signature"),
    (b"<session>", "word", b"session_id session_key session_token sessionid jsessionid"),
    (b"<session>", "word", b"phpsessid sid listen_key listenkey cookie cookies set_cookie"),
    (b"<session>", "random", b"session"),
    (b"<token>", "word", b"token accesstoken authtoken refreshtoken bearer jwt csrf"),
    (b"<token>", "word", b"xsrf id_token nonce_token pat authorization auth oauth sso"),
    (b"<token>", "word", b"webhook webhook_url sas access_code auth_code apitoken jeton"),
    (b"<token>", "word", b"authorization_code code_verifier oauth_code device_code"),
    (b"<key>", "word", b"api_key apikey access_key accesskey private_key privatekey"),
    (b"<key>", "word", b"privkey secret_key signing_key signingkey encryption_key master_key"),
    (b"<key>", "word", b"auth_key account_key client_key consumer_key service_key"),
    (b"<key>", "word", b"storage_key shared_key app_key license_key licence_key deploy_key"),
    (b"<key>", "word", b"ssh_key hmac_key aes_key venue_key broker_key exchange_key user_key"),
    (b"<key>", "word", b"admin_key root_key webhook_key trading_key subscription_key"),
    (b"<key>", "word", b"application_key integration_key write_key read_key server_key"),
    (
        b"<key>",
        "word",
        b"api_key_id key_id keyid key_pair keypair access_id accesskeyid mbx_apikey",
    ),
    (b"<key>", "word", b"seed_hex apischlussel schlussel apischluessel schluessel cle_api chiave"),
    (b"<key>", "word", b"cle_secrete cle_privee chiave_api clave_api zugangsschlussel"),
    (b"<key>", "word", b"credential credentials creds cred access_token_key xprv wif"),
    (
        b"<account>",
        "word",
        b"account_id account_no account_number account_num acct account accountnumber",
    ),
    (b"<account>", "word", b"acct_id acct_no accountid customer_id customer_no client_number"),
    (
        b"<account>",
        "word",
        b"sub_account subaccount subaccount_id sub_account_id routing_number",
    ),
    (b"<account>", "word", b"sort_code bank_account account_uuid account_reference"),
    (b"<account>", "word", b"portfolio portfolio_uuid portfolio_id profile_id"),
    (b"<account>", "word", b"kontonummer numero_compte numero_de_compte numero_cuenta iiban"),
    (b"<account>", "word", b"numero_de_cuenta depotnummer kundennummer"),
    (b"<account>", "none", b"bic bic_code swift_code swift_bic"),
    (b"<account>", "word", b"cust_id customer_number client_no clientid_no acc_id acc_no acc_num"),
    (b"<account>", "word", b"account_nr acct_num acct_number aba rtn routing_no bsb clabe kto"),
    (b"<account>", "word", b"ktonr rekening rekeningnummer conto numero_conto konto konto_nr"),
    (b"<account>", "word", b"master_account master_uid sub_uid login_id login_name account_code"),
    (b"<account>", "long", b"uid user_id userid member_id trade_uid"),
    (b"<account>", "random", b"client_id app_id application_id tenant_id project_id"),
    (b"<wallet>", "word", b"withdrawal_address deposit_address wallet wallet_address xpub"),
    (b"<wallet>", "word", b"address_tag to_address from_address btc_address eth_address"),
    (b"<iban>", "word", b"iban"),
    (b"<card>", "digits", b"card card_number cardnumber card_no pan credit_card cc_number"),
    (b"<ssn>", "digits", b"ssn social_security social_security_number sin itin nino"),
    (b"<ssn>", "digits", b"ssn_last4 ssn_last_4 last4_ssn"),
    (b"<ssn>", "id", b"sv_nummer sv_nr svnr svnummer ahv ahv_nr avs rvnr rv_nummer insee nir"),
    (b"<ssn>", "id", b"sozialversicherungsnummer rentenversicherungsnummer personnummer cpr"),
    (b"<ssn>", "id", b"pesel bsn cpf cnpj curp cnp aadhaar aadhar hkid nric nie rut cuit tfn abn"),
    (b"<ssn>", "id", b"codice_fiscale fiscal_code fiscal_number personal_code personal_number"),
    (b"<ssn>", "id", b"identity_number identity_no id_card id_number idcard emirates_id"),
    (b"<ssn>", "id", b"insurance_number insurance_no medicare medicaid ni_number personal_id"),
    (b"<id>", "word", b"tax_id taxid national_id nationalid vat_number vat_id ein tin"),
    (b"<id>", "id", b"tax_number tax_no tax_ref utr ust_id ustid ust_idnr steuer_nr vat_no vat"),
    (b"<id>", "id", b"passport passport_no passport_number driver_license license_number"),
    (b"<id>", "id", b"passnummer pass_nr pass_no reisepass ausweis ausweisnummer ausweisnr"),
    (b"<id>", "id", b"personalausweis passeport pasaporte passaporto document_number"),
    (b"<id>", "id", b"document_no doc_number doc_no licence_plate license_plate permit_number"),
    (
        b"<id>",
        "word",
        b"steueridentifikationsnummer steuer_id steuernummer steuerid numero_fiscal nif dni",
    ),
    (b"<id>", "id", b"drivers_license driving_licence drivers_licence licence_number"),
    (b"<id>", "id", b"driver_licence dl_number driving_license national_insurance nhs"),
    (b"<phone>", "digits", b"phone telephone tel mobile fax cell phone_number msisdn gsm"),
    (b"<phone>", "digits", b"cellphone mobile_number contact_number whatsapp telefon telefono"),
    (b"<phone>", "digits", b"telefonnummer rufnummer handy handynummer mobil mobilnummer"),
    (b"<phone>", "digits", b"tlf telefone celular movil portable cellulare puhelin signal_number"),
    (b"<phone>", "digits", b"sms_to phone_no tel_no emergency_contact contact_phone"),
    (b"<email>", "word", b"email e_mail mail email_address"),
    (b"<email>", "word", b"correo courriel mailto reply_to"),
    (b"<name>", "none", b"first_name last_name full_name customer_name holder account_holder"),
    (b"<name>", "none", b"firstname lastname fullname surname given_name family_name"),
    (b"<name>", "none", b"beneficiary beneficiary_name cardholder card_holder owner_name"),
    (b"<name>", "none", b"middle_name maiden_name mothers_maiden_name real_name legal_name"),
    (b"<name>", "none", b"nachname vorname apellido apellidos prenom cognome kontoinhaber inhaber"),
    (b"<name>", "none", b"name_on_card cardholder_name account_name_holder account_owner payee"),
    (b"<name>", "none", b"signatory debtor_name creditor_name recipient_name sender_name ubo"),
    (b"<name>", "none", b"holder_name applicant_name contact_name client_name employee_name"),
    (b"<birth>", "digits", b"dob birth_date date_of_birth birthday birthdate"),
    (b"<birth>", "digits", b"geburtsdatum geboren geb_datum date_naissance date_de_naissance"),
    (b"<birth>", "digits", b"fecha_nacimiento fecha_de_nacimiento data_nascita birth_day born"),
    (
        b"<address>",
        "none",
        b"street street_address home_address postal_address mailing_address",
    ),
    (
        b"<address>",
        "none",
        b"address_line1 address_line2 residential_address zip_code postcode",
    ),
    (b"<address>", "none", b"address_line street1 street2 strasse anschrift adresse domicilio"),
    (b"<address>", "postal", b"address addr shipping billing residence wohnort indirizzo"),
    (b"<address>", "digits", b"postal_code postalcode plz zipcode"),
)
"""kind, doubt, and the words that a name holds side by side"""
_OF_PHRASE: Final[dict[tuple[bytes, ...], Field]] = {
    tuple(_WORDS.findall(phrase)): Field(kind, doubt)
    for kind, doubt, phrases in _KINDS
    for phrase in phrases.split()
}
# Also in one piece, because an environment writes ACCOUNTNUMBER.
_JOINED: Final = {b"".join(words): field for words, field in _OF_PHRASE.items()}
_OF_WORDS: Final[dict[tuple[bytes, ...], Field]] = {
    (word,): field for word, field in _JOINED.items() if len(word) >= _MIN_JOINED_CHARS
} | _OF_PHRASE
_LONGEST: Final = max(map(len, _OF_WORDS))
_ENDINGS: Final = {
    ending: _OF_WORDS[(ending,)]
    for ending in b"password passwd passphrase secret token apikey privatekey passwort subaccount"
    b" accountid accountnumber phonenumber secretkey accesskey passcode mnemonic email"
    b" kennwort sessionid telefonnummer kontonummer".split()
}
_NAMED_KEYS: Final = ((b"api", b"key", b"name"), (b"key", b"name"))
_GOES_ON: Final = re2.compile(rb"value|no|nr|num|number|id|full|raw|primary|home|work|[0-9]+")
_ANY_KEY: Final = Field(b"<key>", "random")
_TOKENS: Final = Field(b"<token>", "random")
_HARMLESS_NAMES: Final = frozenset(
    (
        b"client_order_id",
        b"message_sid",
        b"load_credential",
        b"call_sid",
        b"pass_rate",
        b"sign_count",
        b"account_type",
        b"account_report",
    )
)


@lru_cache(maxsize=4_096)
def field_of(name: bytes) -> Field | None:
    """Return what stands in a field of this name, in any case and style; None for anything."""
    if _DRAWN.fullmatch(name) is not None:  # no part of it is a word
        return None
    words = tuple(word.lower() for word in _WORDS.findall(_plain(name[:_MAX_NAME_BYTES])))
    if _CLASS.fullmatch(name) is not None and _AGENT.fullmatch(words[-1]) is not None:
        return None
    if words[-1:] == (b"tokens",):  # max_tokens, and a bucket's
        return _TOKENS
    whole = _OF_WORDS.get(words)
    if whole is not None:
        return whole
    if words and len(words[-1]) >= _MIN_PLURAL and words[-1].endswith(b"s"):
        one = (*words[:-1], words[-1][:-1])
        words = one if any(one[-size:] in _OF_WORDS for size in range(1, _LONGEST + 1)) else words
    if words[-3:] in _NAMED_KEYS:  # a UUID at Coinbase
        return _ANY_KEY
    if not words or words[-1] in _HARMLESS_ENDS or b"_".join(words) in _HARMLESS_NAMES:
        return None
    for size in range(min(_LONGEST, len(words)), 0, -1):
        for start in range(len(words) - size, -1, -1):
            found = _OF_WORDS.get(words[start : start + size])
            if found is not None and _is_meant(found, words, start + size):
                return found
    for ending, field in _ENDINGS.items():
        if words[-1].endswith(ending):  # BEARERTOKEN, apikeysecret
            return field
    if words[-1] in {b"key", b"keys"} and not _HARMLESS_KEYS & set(words):
        return _ANY_KEY
    return None


def _plain(name: bytes) -> bytes:
    """Return the name without accents, whether they are letters or JSON's escapes of letters."""
    if name.isascii() and b"\\u" not in name:
        return name
    text = _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)).encode("utf-8", "replace"), name)
    return unicodedata.normalize("NFKD", text.decode("utf-8", "replace")).encode("ascii", "ignore")


@lru_cache(maxsize=4_096)
def is_telling(name: str) -> bool:
    """True when a field of this name may hold something secret, whatever its value looks like."""
    return field_of(name.encode("utf-8", "replace")) is not None


def _is_meant(field: Field, words: tuple[bytes, ...], end: int) -> bool:
    # "account_currency" and "card_type" are not the account and the card themselves; of a
    # secret no part is told.
    if field.kind in {b"<password>", b"<secret>", b"<key>", b"<token>", b"<signature>"}:
        return True
    return end == len(words) or (
        end == len(words) - 1 and _GOES_ON.fullmatch(words[end]) is not None
    )


def could_be_code(name: bytes, value: bytes) -> bool:
    """True for what a login's redirect brings: ``?code=...&state=...``."""
    return name in {b"code", b"state"} and not is_left_alone(value, "random")


def is_left_alone(value: bytes, doubt: Doubt) -> bool:
    """True when ``value`` cannot be what its field's name announces."""
    plain = value.strip(b" \t\r\n\"'\\")
    if not plain or _FLAG.fullmatch(plain) is not None or _is_elsewhere(plain):
        return True
    match doubt:
        case "none":
            return False
        case "said":
            is_name = b"_" in plain and _is_word(plain)
            return (
                is_name or goes_on(plain) or (plain.isdigit() and len(plain) <= _MAX_SHORT_DIGITS)
            )
        case "word":
            is_id = is_contract(plain) or is_digest(plain) or _SENT.fullmatch(plain) is not None
            return _is_word(plain) or is_id
        case "digits":
            return _digits(plain) < _MIN_DIGITS
        case "long":
            return _digits(plain) < _MIN_LONG_DIGITS or _UUID.fullmatch(plain) is not None
        case "id":
            is_upper = plain.isupper() and b" " not in plain
            return len(plain) < _MIN_ID_CHARS or (_digits(plain) == 0 and not is_upper)
        case "code":
            return _digits(plain) < _MIN_CODE_DIGITS
        case "postal":
            is_wallet = len(plain) >= _MIN_WALLET_CHARS and _KEYLIKE.fullmatch(plain) is not None
            return _POSTAL.search(plain) is None and not is_wallet
        case "random":
            return len(plain) < _MIN_SHORT_ID or _is_word(plain) or not _could_be_key(plain)


def _is_elsewhere(value: bytes) -> bool:
    """True for what says where a secret is, and is none: a variable, a file, an address."""
    if _ELSEWHERE.fullmatch(value) is not None:
        return True
    if b"://" not in value[:_MAX_SCHEME_CHARS] or _BARE_URL.fullmatch(value) is None:
        return False
    return not any(is_random(piece) for piece in value.split(b"/")) and b"hook" not in value


def _digits(value: bytes) -> int:
    return len(value) - len(value.translate(None, b"0123456789"))


_FLAG: Final = re2.compile(
    rb"(?i:true|false|none|null|nil|undefined|yes|no|on|off|n/a|unset|empty|missing|required"
    rb"|invalid|expired|string|str|bytes|int|\*+|x{3,}|\.{3}|redacted|\[?(?:redacted|masked|hidden"
    rb"|filtered)\]?|masked|hidden|present|provided|not[ -]set|not[ -]found|unchanged|incorrect|wrong"
    rb"|mismatch|failed|denied|rejected|accepted|revoked|rotated|optional|mandatory|unknown|undef"
    rb"|bool|float|dict|list|object|number|integer|(?:\xe2\x80\xa2)+|SecretStr|Optional\[[a-z]+\]?"
    rb"|[0-9]{1,6}/[0-9]{1,6})"
)
_ELSEWHERE: Final = re2.compile(
    rb"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:KEY|SECRET|TOKEN|PASSWORD|PASSPHRASE|PASS|DSN|URL|ID|FILE)"
    rb"|(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4}){1,5}"
    rb"|\$\{[^{}]*\}?|\$\([^()]*\)|\$[A-Z_][A-Z0-9_]*|\{\{[^{}]*\}\}|%\([a-z_]+\)s|\{[a-z_.]+\}|<[A-Za-z _-]+>"
    rb"|(?:~|\.{1,2})?(?:/[a-z0-9_.-]*[a-z][a-z0-9_.-]*){2,}|(?:env|file|vault|secret|op|ssm|kms):"
    rb"(?://)?[A-Za-z_./:-]+|(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]+)?"
    rb"|(?:self|cls|settings|config|os|request|args|env|hmac|base64|json)\.[A-Za-z_.]+[(\[]?.*"
    rb"|[a-z_]+\((?:self|cls|settings|config|os|request|args)\b.*|<[A-Za-z_. ]+ at 0x[0-9a-f]{4,16}>"
)
_SENT: Final = re2.compile(rb"(?:SM|MM|CA)[0-9a-f]{32}|[0-9a-f]{8}\.[0-9a-f]{1,6}")
"""a message or a call at Twilio's, a session of PostgreSQL's log: both are called ``sid``"""
_MAX_SCHEME_CHARS: Final = 16
_BARE_URL: Final = re2.compile(rb"[a-z][a-z0-9+.-]*://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~-]*)*")
_POSTAL: Final = re2.compile(rb"[A-Za-z\x80-\xff]{3,}[^=]* [0-9]|[0-9][^=]* [A-Za-z\x80-\xff]{3,}")
_UUID: Final = re2.compile(rb"(?i:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})")
_WORD: Final = re2.compile(rb"[A-Za-z]+(?:[-_ ./:][A-Za-z]+)*|-?[0-9]{1,5}(?:\.[0-9]+)?")


def _is_word(value: bytes) -> bool:
    return len(value) <= _MAX_WORD_CHARS and _WORD.fullmatch(value) is not None


_CACHED: Final = re2.compile(rb"[A-Za-z]+-[A-Za-z0-9.-]*[A-Za-z]-[0-9a-f]{16,64}")


def _could_be_key(value: bytes) -> bool:
    """True for letters and digits in one piece, and for a hash, but not for an order id of ours."""
    if (value[:1] == b"k" and is_operational(value)) or is_contract(value) or is_digest(value):
        return False
    if _CACHED.fullmatch(value) is not None:
        return False
    return is_random(value) or (_digits(value) > 0 and _KEYLIKE.fullmatch(value) is not None)


_KEYLIKE: Final = re2.compile(rb"[A-Za-z0-9+/_=-]{14,}")
