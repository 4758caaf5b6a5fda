"""Measure redaction: its speed beside one plain regular expression, its recall and its precision. Prints Markdown.

    python -m benchmarks.bench_redaction             speed; the expression does less: it checks no checksums
    python -m benchmarks.bench_redaction CORPORA     recall on the corpora; number of masks in texts without secrets

A corpus is a checkout of the rules of a scanner, with examples of secrets: CORPORA/kingfisher and CORPORA/noseyparker
(YAML, which needs pyyaml), CORPORA/gitleaks (Go), CORPORA/credsweeper (its tests' expected findings). A missing corpus
is skipped.
"""

import json
import os
import platform
import random
import re
import statistics
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import base58
from mnemonic import Mnemonic

from src.observability import settings
from src.observability.redaction.key_formats import FORMATS
from src.observability.redaction.names import strength, word_set
from src.observability.redaction.redactor import redact, redact_text
from src.observability.redaction.values import is_made, is_public

REPEATS = 5
KB = 1_000
SECRETS = {"OPENAI_KEY": "sk-proj-Zx81kQmN4vTr7LpB2yWc", "BIRDEYE_API_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
           "LANGFUSE_SECRET_KEY": "sk-lf-3b1f2c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d"}  # fmt: skip
# Expressions for secrets that the text around them reveals (as in gitleaks rules/generic.go), and for wallet keys.
_GENERIC = (
    r"(?i:[\w.-]{0,64}(?:key|secret|token|password|passwd|passphrase|pwd|mnemonic|dsn|credential)s?"
    r"[\"'`]?\s{0,8}(?::=|=>|=|:|is)\s{0,8}[\"'`]?[^\s\"'`,;]{8,256})",
    r"(?i:authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:\w+ )?[^\s\"']{6,512})", r"(?i:bearer\s+[\w.~+/=-]{16,512})",
    r"://[^\s/@:]{0,256}:[^\s/@]{1,512}@", r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}",
    r"\b[1-9A-HJ-NP-Za-km-z]{86,88}\b", r"\b(?:0x)?[0-9a-fA-F]{64}\b", r"\b[5KL9c][1-9A-HJ-NP-Za-km-z]{50,51}\b",
    r"(?:\b[a-z]{3,8}\b[\s,]{1,4}){11,23}\b[a-z]{3,8}\b",
)  # fmt: skip
PLAIN = re.compile("|".join([*map(re.escape, SECRETS.values()), *(entry.pattern for entry in FORMATS), *_GENERIC]))

_FEED = settings.REPO_ROOT / "src/data/samples/liquidations_2025-12-11.csv"
FEED = _FEED.read_text(encoding="utf-8")
PROSE = (
    "You are Moon Dev's liquidation agent. Longs of 12,345,678 USD were liquidated in fifteen minutes on BTC, ETH and"
    " SOL; the price is 97,123.5 and funding 0.01%. Decide: BUY, SELL or NOTHING, and say why in one sentence.\n"
)


def _some(row: Callable[[random.Random], str]) -> str:
    """Return 200 KB of different rows, made by `row`."""
    make, length = random.Random(1), len(row(random.Random(1)))
    return "".join(row(make) for _ in range(200 * KB // length + 1))[: 200 * KB]


def _base58(make: random.Random, size: int) -> str:
    return base58.b58encode(make.randbytes(size)).decode()


JAPANESE = "ビットコインの価格が急落し、ロングの清算が相次いだ。市場は慎重な姿勢を崩していない。"
CHINESE = "比特币价格上涨，多头清算一千二百万美元，市场情绪谨慎。\n"
KOREAN = "비트코인 가격이 급락하며 롱 포지션 청산이 이어졌다. 시장은 여전히 신중한 모습이다.\n"
FRENCH = "Le marché du Bitcoin a chuté fortement après les liquidations; la clé est la prudence à court terme. "
# Title -> a function that makes a row which is common in prompts or similar to a secret.
ROWS: dict[str, Callable[[random.Random], str]] = {
    "Japanese prose": lambda _: JAPANESE,
    "Chinese prose": lambda _: CHINESE,
    "Korean prose": lambda _: KOREAN,
    "French prose": lambda _: FRENCH,
    "JSON rows, a transaction's hash in each": lambda make: (
        f'{{"symbol": "BTC", "side": "BUY", "price": 97123.5, "tx": "0x{make.randbytes(32).hex()}"}}, '
    ),
    'JSON rows, a hash and `"key"` in each': lambda make: (
        f'{{"symbol": "BTC", "key": "a", "price": 97123.5, "tx": "0x{make.randbytes(32).hex()}"}}, '
    ),
    "JSON rows, a Solana signature in each": lambda make: f'{{"slot": 71, "signature": "{_base58(make, 64)}"}}, ',
    "JSON rows, a Solana address in each": lambda make: f'{{"rank": 7, "owner": "{_base58(make, 32)}", "usd": 1.5}}, ',
    "JSON rows, a URL in each": lambda _: (
        '{"url": "https://coindesk.com/markets/2025/12/11/btc-falls", "title": "x"}, '
    ),
    'JSON rows, `"token": "BONK"` in each': lambda _: '{"token": "BONK", "price": 0.0001, "volume": 123}, ',
    "Markdown rows, the word `key` in each": lambda _: "| BTC | 97,123.5 | +1.2% | key level |\n",
}


def mixed(size: int) -> str:
    """Return a prompt of `size` characters: instructions, and rows of the recorded liquidations."""
    part = PROSE * 4 + FEED[:800]
    return (part * (size // len(part) + 1))[:size]


def repeated(text: str) -> str:
    """Return `text` repeated up to a megabyte."""
    return text * (KB * KB // len(text.encode()))


def plain(text: str) -> str:
    """Mask `text` with one plain regular expression."""
    return PLAIN.sub("[REDACTED]", text)


def milliseconds(work: Callable[[str], object], text: str) -> list[float]:
    """Return the CPU milliseconds of each repeat; for a short text, the fastest of several calls."""
    calls = 20 if len(text) < 10 * KB else 3 if len(text) < KB * KB else 1
    return [min(_once(work, text) for _ in range(calls)) for _ in range(REPEATS)]


def _once(work: Callable[[str], object], text: str) -> float:
    began = time.thread_time()  # CPU time, since other processes share the machine
    work(text)
    return (time.thread_time() - began) * 1000


def _row(title: str, text: str, target: str) -> None:
    ours, theirs = milliseconds(redact, text), milliseconds(plain, text)
    ratio = statistics.median(ours) / statistics.median(theirs)
    cells = [f"{statistics.median(times):.3f} ({min(times):.3f}–{max(times):.3f})" for times in (ours, theirs)]
    print(f"| {title} | {cells[0]} | {cells[1]} | {ratio:.2f} | {target} |", flush=True)


ADVERSE = (
    "key=", "key: ", 'key="', "secret,'", "token ", "password ", "Authorization: ", "bearer ", "sk-", "eyJ", "AKIA", "://",
    "https://a:", "-----BEGIN ", "abandon ", "[1,", "0x", "a", "1", "\\", "\\n", "\\u0061", "é", "的", "=", "{\"", "\n",
    "authorization: ", "助记词的一是", "的 ", "<li>zoo</li>", "word 1: zoo ",
    "curl ", "clave: 1", "api_key (1 ", "'1 is the api_key",
)  # fmt: skip


def main() -> None:
    """Print the table."""
    os.environ.update(SECRETS)
    redact("imports" + mixed(KB))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"
    print(f"Python {platform.python_version()}, {machine}\n")
    print("| text | redaction, ms (spread) | one regex, ms (spread) | ratio | target, ms |\n|---|---|---|---|---|")
    _row("2 KB, instructions and market rows", mixed(2 * KB), "0.1")
    _row("200 KB of them", mixed(200 * KB), "5")
    _row("200 KB of prose", (PROSE * KB)[: 200 * KB], "5")
    _row("200 KB of market rows", (FEED * 50)[: 200 * KB], "5")
    _row("2 KB of Chinese prose", (CHINESE * KB)[: 2 * KB], "0.1")
    for title, row in ROWS.items():
        _row(f"200 KB, {title}", _some(row), "5")
    secret = f"api_key={SECRETS['OPENAI_KEY']}\n"
    _row("200 KB, a secret every 2 KB", "".join(mixed(2 * KB) + secret for _ in range(100)), "–")
    _own_secrets()
    worst = max((min(milliseconds(redact, repeated(text))), text) for text in ADVERSE)
    print(f"\n1 MB of any of {len(ADVERSE)} near-matches: at most {worst[0]:.0f} ms (of {worst[1]!r}); target 1,000.")
    words = " ".join(random.Random(1).choices(Mnemonic("english").wordlist, k=180 * KB))[: KB * KB]
    print(f"1 MB of random words of BIP-39: {min(milliseconds(redact, words)):.0f} ms.")


def _own_secrets() -> None:
    """Measure with 12 and with 33 secrets in the environment, and print a line for each number."""
    for count in (12, 33):
        make = random.Random(count)
        os.environ.update({f"BENCH{at}_KEY": _base58(make, 30) for at in range(count - len(SECRETS))})
        _row(f"200 KB of market rows, {count} secrets of ours", (FEED * 50)[: 200 * KB], "5")


# The corpora's file names, without extension, for services that a trading fleet uses.
FAMILIES = word_set(
    # payments and mail
    "stripe square squareup gocardless shopify plaid paypal paystack paymongo lemonsqueezy pagarme transferwise "
    "gumroad sendgrid mailgun mailchimp sendinblue resend mailjetbasicauth mailerlite mandrill postmark sparkpost "
    "elasticemail mailsac pepipost postageapp getresponse omnisend moosend "
    # models, search and their hosts
    "huggingface replicate groq xai anthropic openai perplexity elevenlabs firecrawl jina nvapi tavily databricks "
    "assemblyai deepgram deepai clarifai azureopenai edenai monkeylearn speechtextai apify scraperapi scrapingbee "
    "scrapfly zenrows rapidapi "
    # exchanges, data, nodes
    "alchemy infura moralis etherscan polygon coinbase coinapi coinlayer coinlib cryptocompare finnhub twelvedata "
    "tiingo glassnode blocknative bitcoinaverage bscscan ethplorer oanda tradier nasdaqdatalink "
    "financialmodelingprep intrinio iexapis iexcloud finage exchangerateapi exchangeratesapi worldcoinindex nftport "
    "newsapi marketstack stockdata currencylayer fixerio technicalanalysisapi tatumio web3storage simfin fxmarket "
    "currencyscoop "
    # databases
    "supabasetoken supabase planetscale mongo mongodb airtable notion postgres aiven confluent rockset snowflake "
    "mysql rabbitmq algolia "
    # messengers
    "slack discord telegram telegrambottoken twilio microsoft_teams microsoftteamswebhook facebook twitter "
    "linenotify messagebird telnyx onesignal pushbullet sendbird "
    # registries, source code, machines
    "npm pypi rubygems crates.io nuget artifactory packagecloud cloudsmith github gitlab dockerhub aws google gcp "
    "digitalocean grafana newrelic sentrytoken hashicorp doppler jwt pem privatekey age hubspot linear postman "
    "cloudflare"
)
# The corpora's rules for text that is not a secret, such as names of hosts and buckets, and public ids.
NOT_SECRET = re.compile(
    r"Domain|URL$|Host|Client ID|App ID|Bot ID|Account ID|Bucket|Resource Name|Recipient|Username$|PUBLIC|Account Name"
)
_GO_LIST = re.compile(r"tps\s*:?=\s*\[\]string\{(.*?)\n\t\}", re.DOTALL)
_GO_TEXT = re.compile(r"^\s*(?:`([^`]{16,})`|\"((?:[^\"\\\n]|\\.){16,})\"),\s*(?://.*)?$", re.MULTILINE)


def _examples_in_yaml(file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each example and the secrets that the rule's expression finds in it: no secrets if `re` rejects it."""
    import yaml  # an optional requirement

    for rule in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("rules", []):
        try:
            pattern = re.compile(rule["pattern"])
        except re.error:
            pattern = None
        for example in () if NOT_SECRET.search(rule["name"]) else rule.get("examples") or ():
            match = pattern.search(example) if pattern else None
            yield example, tuple(group for group in match.groups() if group) if match else ()


def _examples_in_go(file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    for block in _GO_LIST.finditer(file.read_text(encoding="utf-8")):
        for match in _GO_TEXT.finditer(block[1]):
            if "service_account" not in match[0]:  # the type of a Google account, not a secret
                yield match[1] or match[2].replace('\\"', '"'), ()


# CredSweeper's rules: those that judge by a name in code, and those for the services above.
BY_NAME = re.compile("Password|Token|Key|Secret|Auth|Credential|API")
OF_SERVICES = re.compile(
    r"PEM Private Key|Gitlab Prefix Token|AWS (?:Client ID|Multi|MWS Key)"
    r"|Stripe Credentials|NewRelic Credentials|Slack (?:Token|Webhook)|JSON Web Token|Docker Access Token|Groq API Key"
    r"|Hugging Face User Access Token|OpenAI Token|PlanetScale Credentials|URL Credentials|Bearer Authorization"
    r"|Amazon Bedrock API Key|Digital Ocean Token|Google (?:OAuth Secret|Multi|API Key|OAuth \w+ Token)|Grafana .*"
    r"|Jfrog Token|MailGun API Key|Postman Credentials|Square (?:Credentials|Access Token)|Supabase Credentials"
    r"|Together AI API Key|Twilio Credentials|Age Secret Key|Anthropic API Key|Basic Authorization|Brevo API Key"
    r"|Databricks Access Token|DeepSeek API Key|Discord (?:Bot Token|Webhook)|Doppler API Key|Facebook Access Token"
    r"|Github .*|Hashicorp Vault Token|Linear API Key|MailChimp API Key|Notion Integration Token|NPM Token"
    r"|NuGet API key|Perplexity API Key|PyPi API Token|RubyGems API Key|SendGrid API Key|Sentry .*|Shopify Token"
    r"|Telegram Bot API Token|Tavily API Key|X App-Only Authentication Bearer Token|X AI API Key"
)


def _findings(rules: re.Pattern[str], file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the lines and the value of each finding in CredSweeper's samples, except public keys (`pk_live_…`)."""
    for finding in json.loads(file.read_text(encoding="utf-8")):
        value = finding["line_data_list"][-1]["value"]  # if there are several values, the first is an id
        if rules.fullmatch(finding["rule"]) and not value.startswith("pk_"):
            lines = {item["line_num"]: item["line"] for item in finding["line_data_list"]}
            yield "\n".join(lines.values()), (value,)


# Why an example is not masked, in the order of `_reason`'s checks.
_NO_NAME, _PUBLIC, _PLAIN, _LEAK = "no secret's name", "like a hash or an address", "short, words, placeholder", "leak"


def recall(folder: Path) -> None:
    """Print how many examples of each corpus are masked, and why the others are not."""
    reasons = (_NO_NAME, _PUBLIC, _PLAIN, _LEAK)
    print(f"| corpus | examples | masked | not: {' | not: '.join(reasons)} |\n|{'---|' * (3 + len(reasons))}")
    for name, files, read in (
        ("kingfisher", "kingfisher/**/*.y*ml", _examples_in_yaml),
        ("noseyparker", "noseyparker/**/*.y*ml", _examples_in_yaml),
        ("gitleaks", "gitleaks/**/*.go", _examples_in_go),
        ("CredSweeper, services", "credsweeper/tests/data/output.json", partial(_findings, OF_SERVICES)),
        ("CredSweeper, names in code", "credsweeper/tests/data/output.json", partial(_findings, BY_NAME)),
    ):
        sources = [file for file in folder.glob(files) if file.stem in FAMILIES | {"output"}]
        results = [_reason(*example) for file in sources for example in read(file)]
        if results:
            counts = " | ".join(str(results.count(reason)) for reason in reasons)
            print(f"| {name} | {len(results)} | {results.count('') / len(results):.1%} | {counts} |", flush=True)


def _reason(example: str, secrets: tuple[str, ...]) -> str:
    """Return "" if redaction adds a marker and does not leave all known secrets in place, else why it did not mask."""
    masked = redact_text(example)
    is_left = secrets and all(masked.count(secret) >= example.count(secret) > 0 for secret in secrets)
    if "[REDACTED:" in masked and not is_left:
        return ""
    value = secrets[-1].strip() if secrets else example
    if not any(strength(word) for word in re.findall(r"[\w.-]+", example.replace(value, " "))):
        return _NO_NAME
    if is_public(value):
        return _PUBLIC
    return _LEAK if is_made(value) else _PLAIN


def precision() -> None:
    """Print the number of masks in texts without real secrets; masked example passwords in docstrings count too."""
    packages = [file for file in _STDLIB.glob("*/**/*.py") if not {"test", "tests", "site-packages"} & {*file.parts}]
    print("\n| text without a secret | MB | masks |\n|---|---|---|")
    for name, files in (
        ("Python's standard library, top level", [*_STDLIB.glob("*.py")]),
        ("Python's standard library, packages", packages),
        ("the recorded feed", [_FEED]),
    ):
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
        masks = sum(redact_text(text).count("[REDACTED:") - text.count("[REDACTED:") for text in texts)
        print(f"| {name} | {sum(map(len, texts)) / KB / KB:.1f} | {masks} |")


_STDLIB = Path(sysconfig.get_path("stdlib"))

if __name__ == "__main__":
    if len(sys.argv) > 1:
        recall(Path(sys.argv[1]))
        precision()
    else:
        main()
