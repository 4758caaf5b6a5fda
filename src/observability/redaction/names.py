"""Rates how surely a name marks its value as a secret.

After a *strong* name (`api_key`, `OPENAI_KEY`, `password`, `private key`), any value is a secret unless it is plainly a
placeholder, a number, an address or code. After a *variable* (`SNIPER_KEY`, `NEW_TOKEN`, `pass`), a value of mixed
letters and digits is a secret. A *weak* name (`key`, `token`) is frequent in trading prompts, as in `token: SOL`: its
value must also look random, and must not be an address, a hash, a signature or a UUID.
"""

import re
from functools import lru_cache

from .scan import regex

STRONG, VARIABLE, WEAK, NONE = 3, 2, 1, 0
_LONGEST = 100  # only the last 100 characters of a name are rated, as the key of a dict may be a long text

NAME_WORD = regex(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def word_set(text: str) -> frozenset[str]:
    """The set of words in a text: a long list is easier to read without quotes."""
    return frozenset(text.split())


# Names of secrets. They are from secret scanners (gitleaks rules/generic.go, detect-secrets plugins/keyword.py), or are
# used by the services that agents call.
_ALWAYS = word_set(
    "passwords passwort passphrase secrets apikeys mnemonic dsn authorization credential "
    "credentials privkey accesstoken authtoken"
)
# Ends of names whose words are not separated, such as `BINANCEAPIKEY` and `jwtsecret`.
_RUN_TOGETHER = ("apikey", "aeskey", "secretkey", "privatekey", "accesskey", "secret")
_PASSWORD = regex("(?:^p|pa?s{1,2})w(?:o?r)?d$")  # also matches `dbpassword`, `passwd` and the misspelled `pswrd`
# Services whose name before `key` marks a secret, also in prose. Solana is left out, because in
# `Solana key: 185.20` a key price level is meant.
SERVICES = word_set(
    "anthropic openai deepseek groq gemini google grok xai openrouter claude langfuse birdeye helius moondev coingecko "
    "elevenlabs twilio binance bybit kraken coinbase okx alchemy infura quicknode dune etherscan github slack discord "
    "telegram"
)
HOSTS = word_set(
    # payments and mail
    "stripe paypal braintree paystack paymongo lemonsqueezy pagarme transferwise gumroad razorpay adyen sendgrid "
    "mailgun resend postmark mailjet mailerlite mandrill sparkpost elasticemail mailmodo mailsac pepipost postageapp "
    "brevo getresponse moosend omnisend "
    # models
    "replicate perplexity together fireworks cerebras assemblyai deepgram deepai clarifai edenai wandb cohere mistral "
    "nvidia voyageai tavily firecrawl runpod monkeylearn "
    # exchanges and data
    "kucoin bitfinex bitget mexc huobi htx bitmex deribit bitstamp upbit bithumb bitflyer cryptocom oanda tradier "
    "coinapi coinmarketcap cmc cryptocompare coinglass coinlayer coinlib glassnode nansen messari lunarcrush "
    "santiment finnhub twelvedata tiingo alphavantage iexcloud iexapis marketstack stockdata fmp "
    "financialmodelingprep intrinio nasdaq quandl benzinga newsapi cryptopanic bscscan polygonscan arbiscan basescan "
    "solscan ethplorer covalent moralis chainstack ankr tatum blocknative bitquery nftport bitcoinaverage "
    "worldcoinindex currencylayer currencyscoop currencyfreaks exchangerate fastforex simfin technicalanalysisapi "
    # databases, messengers, registries, hosts
    "supabase planetscale neon mongodb airtable algolia upstash snowflake clickhouse pinecone qdrant aiven confluent "
    "notion facebook linenotify messagebird telnyx onesignal pushover pushbullet sendbird whatsapp npm pypi nuget "
    "packagecloud cloudsmith clojars docker heroku netlify vercel cloudflare sentry newrelic datadog grafana "
    "scraperapi scrapingbee scrapfly zenrows rapidapi"
)
_KEY_OWNERS = (
    SERVICES
    | HOSTS
    | word_set(
        "api secret private priv access auth signing signer encryption wallet deploy master service account admin app "
        "consumer subscription license recovery unseal webhook session bot ssh gpg pgp age "
        "huggingface hf eleven liquid hyperliquid eth solana twitter youtube aws azure"
    )
)
_TOKEN_OWNERS = HOSTS | word_set(
    "access auth refresh bearer bot api session csrf xsrf personal id oauth security user app service hf github gh "
    "slack discord telegram twitter twilio huggingface npm pypi secret private vault server"
)
_PHRASES = word_set("seed recovery backup mnemonic secret wallet pass")
_PUBLIC = word_set("public pub publishable pubkey pubkeys publickey")
# Names of secrets in other languages.
FOREIGN_KEYS = word_set(
    "キー シークレット トークン 密钥 密鑰 金鑰 令牌 키 시크릿 토큰 schlüssel geheimnis clé clave "
    "chave chiave ключ токен"
)
FOREIGN_PASSWORDS = word_set(
    "パスワード パスフレーズ 密码 密碼 口令 비밀번호 암호 kennwort passwort passe contraseña senha пароль"
)
# Words before `key` in the names of keys that are not secret, such as those of databases, caches and pages.
_PLACES = word_set(
    "cache idempotency dedup dedupe sort primary foreign partition row group join index lookup page next prev previous "
    "continuation cursor pagination resume sync storage range hash shard routing object map dict"
)
# Words for the owner of a key pair. After them, `key` may mean the public half, which is an address: `signerKey`, or
# `accountKeys` of a Solana transaction.
_HOLDERS = word_set(
    "account wallet signer signing owner authority mint program session agent trader user payer vault pool solana sol "
    "eth evm delegate validator voter identity service"
)
_PRIVATE = word_set("private priv secret seed")


# Words that may follow `KEY` or `TOKEN` in the name of a secret: `API_KEY_PROD`, `API_KEY_BINANCE`, `TOKEN_B64`.
PLACES_OF_USE = word_set("prod live test testnet mainnet dev main backup old new confirmation")
_BEHIND = SERVICES | PLACES_OF_USE | word_set("b base hex value header json plain raw")  # `_B64` is split into b and 64


_FOREIGN = regex("|".join(FOREIGN_KEYS | FOREIGN_PASSWORDS), re.IGNORECASE)
_LONGEST_FOREIGN = 24  # characters of the longest foreign name (`Mein API-Schlüssel`); a longer text is prose


def name_parts(name: str) -> list[str]:
    """Split a name into lower-case words: `openaiApiKey_2` -> openai, api, key. Drops suffixes such as numbers."""
    parts = [word.lower() for word in NAME_WORD.findall(name)]
    while parts and (parts[-1].isdigit() or parts[-1] in _BEHIND):
        parts.pop()
    return parts


def strength(name: str) -> int:
    """How surely a field called `name` holds a secret: STRONG, VARIABLE, WEAK or NONE."""
    return _strength(name[-_LONGEST:])


@lru_cache(maxsize=4096)  # prompts have few different field names, and repeat them in every call
def _strength(name: str) -> int:
    if not name.isascii() and len(name) <= _LONGEST_FOREIGN and _FOREIGN.search(name):
        return VARIABLE
    parts = name_parts(name)
    if not parts or is_public_name(parts):
        return NONE
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if last in _ALWAYS or last.endswith(_RUN_TOGETHER) or _PASSWORD.search(last):
        return STRONG
    if last in ("key", "keys", "token", "tokens"):
        return _key_strength(before, last, name)
    if last in ("phrase", "words"):
        return STRONG if before in _PHRASES else NONE
    if last.endswith("pass") or last == "pw":
        return VARIABLE
    return WEAK if last in ("auth", "sid", "bearer") else NONE


def _key_strength(before: str, last: str, name: str) -> int:
    if before in _PLACES:
        return NONE
    if before in (_KEY_OWNERS if last.startswith("key") else _TOKEN_OWNERS):
        return STRONG
    if last == "tokens":
        return NONE  # max_tokens, prompt_tokens
    return VARIABLE if before and is_variable(name) else WEAK


@lru_cache(maxsize=4096)
def may_be_public(name: str) -> bool:
    """Whether a value of this name may be a blockchain address, and so public.

    This is so for the public key of an owner (`signerKey`), and for a token named after a service.
    """
    holder, last = ["", "", *name_parts(name)][-2:]
    if last in ("token", "tokens"):
        return holder in HOSTS
    return last in ("key", "keys") and holder in _HOLDERS and _PRIVATE.isdisjoint(name_parts(name))


def is_public_name(parts: list[str]) -> bool:
    """Whether a name of these words marks its value as public: WALLET_PUBLIC_KEY."""
    return not _PUBLIC.isdisjoint(parts) and _PRIVATE.isdisjoint(parts)


# Environment variables count as secret under more names than fields do. A needless secret does little harm there: only
# texts that contain the exact value are masked.
_VARIABLE_ENDS = (
    "key", "secret", "token", "credential", "password", "passwd", "passphrase", "phrase", "mnemonic", "keypair",
    "cookie", "seed", "dsn", "sid", "bearer", "authorization",
)  # fmt: skip


def is_secret_variable(name: str) -> bool:
    """Whether an environment variable of this name holds a secret: `*_KEY`, `*_SECRET_2`, `API_KEYS_BINANCE`."""
    parts = name_parts(name)
    if not parts or is_public_name(parts):
        return False
    last = parts[-1]
    return last in ("pk", "jwt") or last.removesuffix("s").endswith(_VARIABLE_ENDS) or strength(name) != NONE


def is_password(name: str) -> bool:
    """Whether the name is that of a password, which people choose themselves."""
    return name.lower().endswith(("word", "wd", "wrd", "phrase", "mnemonic", "pass", "pw"))


def is_variable(name: str) -> bool:
    """Whether `name` is written as an environment variable: OPENAI_KEY."""
    return name.isupper() and "_" in name
