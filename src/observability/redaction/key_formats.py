"""Keys recognised by their format: of model providers, payments, mail, nodes, databases, messengers and registries.

A format is one entry of `FORMATS`: its first letters, an expression for the rest, an example, and its source. The
pre-checks are built from the entries. Private keys in PEM are at the end of this file.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from .scan import Scan, Span, marker, regex

_ALNUM, _URL, _HEX = "[A-Za-z0-9]", "[A-Za-z0-9_-]", "[0-9a-f]"
_END = r"(?![A-Za-z0-9])"
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_JUMBLED = r"(?=[A-Za-z_-]{0,60}\d)(?=[a-z0-9_-]{0,60}[A-Z])"  # has digits and capitals, unlike `risk-service-…`
_MIXED = "(?=[a-z_-]{0,30}[A-Z0-9])(?=[A-Z0-9_-]{0,30}[a-z])"  # has small letters, and capitals or digits
_KINDS = "(?:proj|svcacct|admin|None|service|org)"


class Format(NamedTuple):
    """The format of one kind of key.

    In `rest`, an open-ended repetition comes last, so that matching takes linear time. In `example`, `{a24}` is 24
    letters and digits; `h` is hex, `u` letters of a URL, `A` capitals and digits, `l` small letters and digits, `d`
    digits.
    """

    rule: str  # the rule's name in the marker
    starts: str  # the key's possible first letters, separated by blanks; empty if it has none: see `head`
    rest: str
    example: str
    unlike: str = "A-Za-z0-9"  # characters not allowed right before the key; empty allows `tokenghp_…`
    head: str = ""  # for a format without `starts`: an expression for a fixed part inside the key
    first: str = ""  # for a format without `starts`: the character class of its first letter

    @property
    def pattern(self) -> str:
        """The expression for the whole key. A literal comes first: `re` finds it fastest."""
        starts = [re.escape(start) for start in self.starts.split()]
        if self.unlike:
            starts = [f"{start}(?<![{self.unlike}]{start})" for start in starts]
        return f"(?:{'|'.join(starts)}){self.rest}" if self.starts else self.rest


# Order matters if first letters overlap: the first matching entry names the rule.
FORMATS = (
    # ── Model providers and their hosts
    # sk-ant-api03-, -admin01-, -oat01- (OAuth): gitleaks anthropic.go, Claude Code's documentation
    Format("anthropic-key", "sk-ant-", f"{_URL}{{20,}}", "sk-ant-api03-{u93}AA"),
    Format("anthropic-key", "sk-ant-", rf"[a-z]{{3,8}}\d\d-{_URL}{{20,}}", "sk-ant-oat01-{u93}AA", unlike=""),
    # OpenRouter's documentation (Authentication)
    Format("openrouter-key", "sk-or-", f"{_ALNUM}{{20,}}", "sk-or-{h64}"),
    Format("openrouter-key", "sk-or-v1- sk-or-v2-", f"{_ALNUM}{{20,}}", "sk-or-v1-{h64}", unlike=""),
    # Langfuse's documentation (API keys). pk-lf- is the public key, which is not a secret and not masked
    Format("langfuse-key", "sk-lf-", "[0-9a-fA-F]{8}-[0-9a-fA-F-]{20,}", "sk-lf-{h8}-{h4}-{h4}-{h4}-{h12}", unlike=""),
    # sk-proj-, sk-svcacct-, sk-admin-: gitleaks openai.go, OpenAI's help 9186755. sess-: the dashboard's sessions
    Format("openai-key", "sk-", f"{_KINDS}-{_URL}{{20,}}", "sk-proj-{a74}T3BlbkFJ{a74}"),
    Format("openai-key", "sk-", f"{_KINDS}-{_JUMBLED}{_URL}{{40,}}", "sk-admin-{a74}T3BlbkFJ{a74}", unlike=""),
    Format("openai-key", "sess-", f"{_ALNUM}{{40}}{_END}", "sess-{a40}"),
    # sk- and 32 hex: DeepSeek's API documentation, trufflehog deepseek
    Format("deepseek-key", "sk-", f"[0-9a-fA-F]{{32}}{_END}", "sk-{h32}"),
    # the first form of OpenAI's keys, which many compatible servers issue too
    Format("openai-key", "sk-", rf"(?=[A-Za-z]{{0,40}}\d){_ALNUM}{{20,}}", "sk-{a48}"),
    Format("openai-key", "sk-", f"{_ALNUM}{{20}}T3BlbkFJ{_ALNUM}{{20}}", "sk-{a20}T3BlbkFJ{a20}", unlike=""),
    # kingfisher groq.yml, Groq's quickstart
    Format("groq-key", "gsk_", f"{_ALNUM}{{20,}}", "gsk_{a52}"),
    Format("groq-key", "gsk_", f"{_ALNUM}{{40,}}", "gsk_{a52}", unlike=""),
    # trufflehog xai
    Format("xai-key", "xai-", "[A-Za-z0-9_]{40,}", "xai-{a80}"),
    Format("xai-key", "xai-", f"{_ALNUM}{{60,}}", "xai-{a80}", unlike=""),
    Format("google-key", "1//0", f"{_URL}{{40,}}", "1//0{a20}-{u78}x"),  # OAuth's refresh token: CredSweeper's samples
    # AIza: gitleaks gcp.go. AQ. replaced it in 2026. ya29. and GOCSPX- are OAuth's token and client secret
    Format("google-key", "AIza", f"{_URL}{{35}}{_END}", "AIza{u34}x"),
    Format("google-key", "AIzaSy", f"{_URL}{{33}}{_END}", "AIzaSy{u32}x", unlike=""),
    Format("google-key", "AQ.", f"{_URL}{{30,}}", "AQ.Ab8RN6{u43}x"),
    Format("google-key", "AQ.Ab8R", f"{_URL}{{26,}}", "AQ.Ab8RN6{u43}x", unlike=""),
    Format("google-key", "ya29.", f"{_URL}{{20,}}", "ya29.c0A{u150}x"),
    Format("google-key", "ya29.a0", f"{_URL}{{20,}}", "ya29.a0A{u150}x", unlike=""),
    Format("google-key", "GOCSPX-", f"{_URL}{{20,}}", "GOCSPX-{u27}x", unlike=""),
    # Hugging Face's documentation (User access tokens); api_org_: gitleaks huggingface.go
    Format("huggingface-key", "hf_ api_org_", f"{_ALNUM}{{30,}}", "hf_{a34}"),
    Format("huggingface-key", "hf_", f"(?=[a-z0-9]{{0,33}}[A-Z]){_ALNUM}{{34}}{_END}", "hf_{a34}", unlike=""),
    Format("replicate-key", "r8_", f"{_ALNUM}{{37,48}}{_END}", "r8_{a37}"),  # kingfisher replicate.yml
    Format("perplexity-key", "pplx-", f"{_ALNUM}{{32,}}", "pplx-{a48}"),  # gitleaks perplexity.go
    Format("together-key", "tgp_v1_", f"{_URL}{{30,}}", "tgp_v1_{u43}"),  # Together's documentation (API keys)
    Format("fireworks-key", "fw_", f"{_MIXED}{_ALNUM}{{22,24}}{_END}", "fw_{a24}"),  # Fireworks' dashboard
    Format("cerebras-key", "csk-", f"[a-z0-9]{{40,}}{_END}", "csk-{l48}"),  # Cerebras' dashboard
    Format("nvidia-key", "nvapi-", f"{_URL}{{60,}}", "nvapi-{u64}"),  # kingfisher nvapi.yml
    Format("elevenlabs-key", "sk_", f"{_HEX}{{40,64}}{_END}", "sk_{h48}"),  # ElevenLabs' API reference (Authentication)
    Format("databricks-key", "dapi", rf"{_HEX}{{32}}(?:-\d)?{_END}", "dapi{h32}"),  # gitleaks databricks.go
    Format("pinecone-key", "pcsk_", "[A-Za-z0-9_]{50,}", "pcsk_{a6}_{a63}"),  # Pinecone's dashboard
    # LangSmith's guide
    Format("langsmith-key", "lsv2_pt_ lsv2_sk_", f"{_HEX}{{32}}_{_HEX}{{10}}", "lsv2_pt_{h32}_{h10}"),
    Format("voyage-key", "pa-", f"{_MIXED}{_URL}{{43}}{_END}", "pa-{u42}x"),  # Voyage's dashboard
    Format("jina-key", "jina_", f"{_URL}{{50,}}", "jina_{a32}{a28}"),  # kingfisher jina.yml
    # Search and scraping for agents: kingfisher tavily.yml, firecrawl.yml, apify.yml
    Format("tavily-key", "tvly-", f"(?:dev-|prod-)?{_ALNUM}{{28,}}", "tvly-{a32}"),
    Format("firecrawl-key", "fc-", f"{_HEX}{{32}}{_END}", "fc-{h32}"),
    Format("llamacloud-key", "llx-", f"{_URL}{{44,}}", "llx-{u48}"),  # CredSweeper's samples
    Format("scrapfly-key", "scp-live- scp-test-", f"{_HEX}{{32}}{_END}", "scp-live-{h32}"),  # kingfisher scrapfly.yml
    Format("apify-key", "apify_api_", f"{_ALNUM}{{30,}}", "apify_api_{a36}"),  # kingfisher apify.yml
    # ── Payments
    # Stripe's documentation (Keys; Webhook signatures)
    Format("stripe-key", "sk_live_ rk_live_ sk_test_ rk_test_ sk_org_", f"{_ALNUM}{{14,}}", "rk_live_{a24}"),
    Format("stripe-key", "whsec_", "[A-Za-z0-9+/]{24,}", "whsec_{a32}"),
    Format("square-key", "sq0atp- sq0csp- sq0idp-", f"{_URL}{{22,}}", "sq0csp-{u43}"),  # gitleaks squareup.go
    Format("square-key", "EAAA", f"{_URL}{{56,64}}{_END}", "EAAA{u59}x"),
    # gitleaks shopify.go
    Format("shopify-key", "shpat_ shpca_ shppa_ shpss_", f"[0-9a-fA-F]{{32}}{_END}", "shpat_{h32}"),
    Format("plaid-key", "access-sandbox- access-development- access-production-", _UUID,
           "access-production-{h8}-{h4}-{h4}-{h4}-{h12}"),  # gitleaks plaid.go
    Format("pagarme-key", "ak_live_", f"{_ALNUM}{{30}}{_END}", "ak_live_{a30}"),  # kingfisher pagarme.yml
    # gitleaks gocardless.go
    Format("gocardless-key", "live_", f"{_JUMBLED}{_URL}{{40}}{_END}", "live_{u39}x"),
    # ── Mail
    # SendGrid's documentation (API keys)
    Format("sendgrid-key", "SG.", rf"{_URL}{{16,32}}\.{_URL}{{16,64}}", "SG.{u22}.{u43}"),
    Format("mailgun-key", "key-", f"{_HEX}{{32}}{_END}", "key-{h32}"),  # gitleaks mailgun.go
    Format("mailchimp-key", "", rf"(?<![0-9a-f]){_HEX}{{32}}-us\d{{1,2}}{_END}", "{h32}-us13", head=r"-us\d",
           first="0-9a-f"),  # gitleaks mailchimp.go
    Format("resend-key", "re_", f"{_MIXED}{_ALNUM}{{6,12}}_{_ALNUM}{{20,}}", "re_{a8}_{a24}"),  # Resend's documentation
    Format("mailgun-key", "", rf"(?<![0-9a-f]){_HEX}{{32}}-{_HEX}{{8}}-{_HEX}{{8}}{_END}", "{h32}-{h8}-{h8}",
           head=rf"-{_HEX}{{8}}-{_HEX}{{8}}(?![0-9a-f-])", first="0-9a-f"),  # CredSweeper's samples
    # gitleaks sendinblue.go
    Format("brevo-key", "xkeysib- xsmtpsib-", f"{_HEX}{{64}}-{_ALNUM}{{16}}", "xkeysib-{h64}-{a16}"),
    # kingfisher mailsac.yml
    Format("mailsac-key", "k_", rf"(?=[a-zA-Z]{{0,30}}\d){_ALNUM}{{40,44}}{_END}", "k_{a42}"),
    # ── Exchanges, market data and nodes; keys in an address: http.py
    Format("mexc-key", "mx0", f"[a-z]{{2,4}}{_MIXED}{_ALNUM}{{14,}}", "mx0vgl{a16}"),  # MEXC's API documentation
    Format("coingecko-key", "CG-", f"{_MIXED}{_ALNUM}{{24}}{_END}", "CG-{a24}"),  # CoinGecko's documentation
    Format("quicknode-key", "QN_", f"{_HEX}{{32}}{_END}", "QN_{h32}"),  # QuickNode's documentation (API keys)
    Format("covalent-key", "cqt_ ckey_", f"[A-Za-z0-9]{{26,27}}{_END}", "cqt_{a26}"),  # Covalent's documentation
    # ── Databases
    Format("supabase-key", "sbp_ sbp_v0_", f"[a-z0-9]{{40}}{_END}", "sbp_{h40}"),  # kingfisher supabasetoken.yml
    Format("supabase-key", "sb_secret_", f"{_URL}{{20,}}", "sb_secret_{u31}"),  # Supabase's documentation (API keys)
    Format("planetscale-key", "pscale_tkn_ pscale_oauth_ pscale_pw_", r"[A-Za-z0-9_.=-]{32,}", "pscale_tkn_{u43}"),
    Format("mongodb-key", "mdb_sa_sk_", f"{_URL}{{30,}}", "mdb_sa_sk_{u40}"),  # kingfisher mongodb.yml
    Format("neon-key", "napi_", f"[a-z0-9]{{60,}}{_END}", "napi_{l64}"),  # Neon's documentation (API keys)
    Format("airtable-key", "pat", rf"{_ALNUM}{{14}}\.{_HEX}{{64}}", "pat{a14}.{h64}"),  # kingfisher airtable.yml
    Format("notion-key", "ntn_ secret_", f"{_MIXED}{_ALNUM}{{43,}}", "ntn_{a46}"),  # kingfisher notion.yml
    # ── Messengers
    # Slack's documentation (Token types), gitleaks slack.go
    Format("slack-token", "xoxa xoxb xoxe xoxp xoxr xoxs", r"[.-](?=[A-Za-z-]{0,40}\d)[A-Za-z0-9.-]{10,}",
           "xoxb-{d12}-{d12}-{a24}", unlike=""),
    Format("slack-token", "xoxo-", r"\d[A-Za-z0-9.-]{10,}", "xoxo-{d12}-{a24}", unlike=""),
    Format("slack-token", "xapp-", r"\d-[A-Za-z0-9-]{20,}", "xapp-1-A{A10}-{d13}-{h64}", unlike=""),
    # 8 to 10 digits, ":" and 35: Telegram's Bot API (Authorizing your bot)
    Format("telegram-token", "", rf"\d{{6,16}}:{_URL}{{34,35}}(?![A-Za-z0-9_-])", "{d10}:AA{u33}",
           head=f":{_URL}{{34}}", first=r"\d"),
    # base64 of the user's id, ".", six for the time, "." and the HMAC: discord.py docs/token.rst; mfa. tokens likewise
    Format("discord-token", "", rf"[MNO](?<![A-Za-z0-9].){_URL}{{22,28}}\.{_URL}{{6}}\.{_URL}{{27,45}}",
           "M{a23}.{a6}.{a38}", head=rf"\.{_URL}{{6}}\.", first="MNO"),
    Format("discord-token", "mfa.", f"{_URL}{{80,}}", "mfa.{u84}"),
    # SK (API key) and AC (account): Twilio's glossary (SID); the token of AC: `_beside`
    Format("twilio-key", "SK AC", f"[0-9a-fA-F]{{32}}{_END}", "SK{h32}"),
    Format("facebook-token", "EAA", f"(?=[A-Za-z]{{0,60}}\\d){_ALNUM}{{90,}}", "EAA{a120}"),  # gitleaks facebook.go
    # an app's id, "|" and its token: gitleaks facebook.go
    Format("facebook-token", "", rf"\d{{13,16}}\|{_URL}{{27}}(?![A-Za-z0-9_-])", "{d16}|{u27}", head=r"\d\|",
           first=r"\d"),
    # gitleaks twitter.go
    Format("twitter-token", "AAAAAAAAAAAAAAAAAAAAA", r"[A-Za-z0-9%+/=]{50,}", "AAAAAAAAAAAAAAAAAAAAA{a80}"),
    # ── Source code, packages and machines
    # ghp_ gho_ ghu_ ghs_ ghr_ github_pat_: GitHub's changelog of 2021-03-31, its documentation (Tokens)
    Format("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", "[A-Za-z0-9_]{30,255}", "ghp_{a36}"),
    Format("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", f"{_ALNUM}{{36,255}}", "gho_{a36}", unlike=""),
    Format("github-token", "github_pat_", "[A-Za-z0-9_]{40,255}", "github_pat_{a22}_{a59}", unlike=""),
    # GitLab's documentation (Token overview), gitleaks gitlab.go
    Format("gitlab-token", "glpat-", f"{_URL}{{20,255}}", "glpat-{u20}", unlike=""),
    Format("gitlab-token", "gldt- glrt- glptt- glft- glsoat- glimt- glcbt- glagent- gloas- glffct- glrtr-"
           " glwt-", f"{_URL}{{20,}}", "glptt-{h40}"),
    Format("gitlab-token", "GR1348941", f"{_URL}{{20,}}", "GR1348941{u20}"),
    Format("npm-token", "npm_", f"{_ALNUM}{{36}}{_END}", "npm_{a36}"),  # gitleaks npm.go
    Format("pypi-token", "pypi-AgE", f"{_URL}{{50,}}", "pypi-AgEIcHlwaS5vcmcC{u130}"),  # PyPI's help (API tokens)
    Format("docker-token", "dckr_pat_ dckr_oat_", f"{_URL}{{27,}}", "dckr_pat_{u27}"),  # kingfisher dockerhub.yml
    Format("ruby-token", "rubygems_", f"{_HEX}{{48}}{_END}", "rubygems_{h48}"),  # gitleaks rubygems.go
    Format("crates-token", "cio", rf"(?=[A-Za-z]{{0,32}}\d)(?=[a-z0-9]{{0,32}}[A-Z]){_ALNUM}{{32}}{_END}", "cio{a32}"),
    Format("nuget-token", "oy2", f"[a-z0-9]{{43}}{_END}", "oy2{l43}"),  # kingfisher nuget.yml
    Format("artifactory-token", "cmVmdGtuO", f"{_ALNUM}{{50,}}", "cmVmdGtuO{a55}"),  # gitleaks artifactory.go
    Format("artifactory-token", "AKCp", f"{_ALNUM}{{60,}}", "AKCp{a69}"),  # kingfisher artifactory.yml
    # AWS's documentation (IAM, reference_identifiers); the secret half: `_beside`
    Format("aws-key", "AKIA ASIA ABIA ACCA", f"[A-Z0-9]{{16}}{_END}", "AKIA{A16}", unlike="A-Z0-9"),
    Format("aws-key", "A3T", f"[A-Z0-9]{{17}}{_END}", "A3T{A17}"),  # gitleaks aws.go
    Format("aws-key", "bedrock-api-key-", f"{_URL}{{30,}}", "bedrock-api-key-{u100}"),  # gitleaks aws.go
    Format("aws-key", "ABSK", "[A-Za-z0-9+/]{100,}", "ABSK{a120}"),  # Amazon Bedrock's API keys: gitleaks aws.go
    Format("aws-key", "amzn.mws.", _UUID, "amzn.mws.{h8}-{h4}-{h4}-{h4}-{h12}"),  # gitleaks amazonmws.go
    Format("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", f"{_HEX}{{64}}", "dop_v1_{h64}"),
    Format("grafana-token", "eyJrIjoi", "[A-Za-z0-9+/]{60,}", "eyJrIjoi{a80}"),
    Format("grafana-token", "glsa_ glc_", "[A-Za-z0-9_+/]{32,}", "glsa_{a32}_{h8}"),  # gitleaks grafana.go
    Format("sentry-token", "sntrys_ sntryu_", "[A-Za-z0-9_+/]{40,}", "sntryu_{h64}"),  # gitleaks sentry.go
    Format("newrelic-key", "NRAK- NRAA- NRII- NRIQ-", f"{_URL}{{25,}}", "NRAK-{A27}"),  # gitleaks newrelic.go
    Format("newrelic-key", "NRBR- NRJS-", f"{_HEX}{{19}}{_END}", "NRJS-{h19}"),  # CredSweeper's samples
    Format("vault-token", "hvs. hvb. hvr. s.CAES", f"{_URL}{{20,}}", "hvs.{u90}"),  # gitleaks hashicorp_vault.go
    Format("doppler-token", "dp.pt. dp.ct. dp.sa. dp.st. dp.scim. dp.audit.", rf"(?:{_URL}{{2,35}}\.)?{_ALNUM}{{40,}}",
           "dp.pt.{a43}"),  # gitleaks doppler.go
    # kingfisher hubspot.yml
    Format("hubspot-key", "pat-na1- pat-na2- pat-eu1-", _UUID, "pat-na1-{h8}-{h4}-{h4}-{h4}-{h12}"),
    Format("linear-key", "lin_api_ lin_oauth_", f"{_ALNUM}{{40,}}", "lin_api_{a40}"),  # gitleaks linear.go
    Format("postman-key", "PMAK-", f"{_HEX}{{24}}-{_HEX}{{34}}", "PMAK-{h24}-{h34}"),  # gitleaks postman.go
    Format("postman-key", "PMAT-", f"[A-Z0-9]{{26}}{_END}", "PMAT-{A26}"),  # CredSweeper's samples
    # `-----BEGIN … PRIVATE` in base64, as secrets of Kubernetes and CI have it
    Format("pem-private-key", "LS0tLS1CRUdJTiBQUklWQVRF LS0tLS1CRUdJTiBSU0EgUFJJVkFURS LS0tLS1CRUdJTiBFQyBQUklWQVRF"
           " LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUg", "[A-Za-z0-9+/=]{20,}", "LS0tLS1CRUdJTiBQUklWQVRF{a200}"),
    Format("age-key", "AGE-SECRET-KEY-1", "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}", f"AGE-SECRET-KEY-1{'Q9' * 29}"),
    # three base64url parts, the first a JSON object ({" is eyJ): RFC 7519
    Format("jwt", "eyJ", rf"{_URL}{{8,512}}\.eyJ{_URL}{{8,16384}}\.{_URL}{{0,1024}}", "eyJ{a33}.eyJ{a40}.{u43}",
           unlike="A-Z0-9"),
)  # fmt: skip
FORMAT_RULES = frozenset(entry.rule for entry in FORMATS)

_STARTS = sorted({start for entry in FORMATS for start in entry.starts.split()})
_TELEGRAM_ID = 17  # longest number and colon before the long run, as in "1234567890:"


def _by_first_letter(literals: list[str]) -> Iterator[str]:
    for letter, group in groupby(literals, key=lambda literal: literal[0]):
        yield f"{letter}(?:{'|'.join(re.escape(literal[1:]) for literal in group)})"


def _any_of(numbers: Iterable[int]) -> Any:
    return regex("|".join(f"(?P<f{number}>{FORMATS[number].pattern})" for number in numbers))


# First letters of all keys. `re` checks such an alternation as one set, so that a blockchain address is dismissed in a
# fraction of a microsecond.
_START = regex("|".join(_by_first_letter(_STARTS)))
# The formats by their first two letters: only a handful of a hundred is tried at each start.
_BY_START = {
    letters: _any_of(at for at, entry in enumerate(FORMATS) if any(s[:2] == letters for s in entry.starts.split()))
    for letters in {start[:2] for start in _STARTS}
}
_WITHOUT_START = [at for at, entry in enumerate(FORMATS) if not entry.starts]
_HEAD = regex("|".join(FORMATS[at].head for at in _WITHOUT_START))
_HEADED = regex(f"(?=[{''.join(FORMATS[at].first for at in _WITHOUT_START)}])(?:{{}})".format(
    "|".join(f"(?P<f{at}>{FORMATS[at].pattern})" for at in _WITHOUT_START)
))  # fmt: skip


def _of_letters_alone(entry: Format) -> bool:
    return re.sub(r"\{\w+\}", "", entry.example).isalnum()


# A run of only letters and digits is a key only if it begins with one of the first, or contains one of the second. This
# dismisses whole pages of signatures and addresses.
_ALNUM_STARTS = tuple(start.encode() for entry in FORMATS if _of_letters_alone(entry) for start in entry.starts.split())
_GLUED_STARTS = tuple(
    start.encode()
    for entry in FORMATS
    if _of_letters_alone(entry) and "a-z" not in entry.unlike
    for start in entry.starts.split()
)
_BEFORE_KEY = b":|"  # of Telegram's and Facebook's tokens


def formats(scan: Scan) -> Iterator[Span]:
    """Yield keys in one of the `FORMATS`. Only long runs of key letters are searched; most prompts have none."""
    plain = scan.plain_ascii
    glued = bool(scan.runs) and any(start in plain for start in _GLUED_STARTS)
    covered = 0
    for start, end in scan.runs:
        may_be_one = glued or plain.startswith(_ALNUM_STARTS, start) or plain[start - 1] in _BEFORE_KEY
        if end <= covered or (not may_be_one and plain[start:end].isalnum()):
            continue
        for match in _matches(scan.plain, max(covered, start - _TELEGRAM_ID), end):
            covered = match.end()
            rule = FORMATS[int((match.lastgroup or "f0")[1:])].rule
            yield Span(match.start(), match.end(), rule)
            yield from _beside(match, rule)


def _matches(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    if _HEAD.search(text, start, end):
        yield from _HEADED.finditer(text, start, end)
    while literal := _START.search(text, start, end):
        at = literal.start()
        match = _BY_START[text[at : at + 2]].match(text, at)  # a key such as base64 may extend beyond the run
        start = match.end() if match else at + 1
        if match:
            yield match


# The secret half of an AWS key (40 letters of base64) and a Twilio account's token (32 hex digits) have no format of
# their own. They are recognised beside the public half: docs.aws.amazon.com/IAM (access keys),
# twilio.com/docs/iam/access-tokens.
_AWS_SECRET = regex(
    r"(?<![A-Za-z0-9+/])(?=[a-z0-9+/]{0,39}[A-Z])(?=[A-Z0-9+/]{0,39}[a-z])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])"
)
_AWS_REACH = 200  # distance in characters from the public half
_WORDY = regex("[a-z]{3,}|/")  # matches 29 or more of 40 letters of a path, and 9 of 40 random letters
_MOST_WORDY = 26
_TWILIO_TOKEN = regex(r"[\\\"'\s,:]{1,24}([0-9a-f]{32})(?![A-Za-z0-9])")


def _beside(match: re.Match[str], rule: str) -> Iterator[Span]:
    """Yield the secret half beside a key of AWS or an account of Twilio."""
    if rule == "aws-key":
        around = max(0, match.start() - _AWS_REACH), match.end() + _AWS_REACH
        for secret in _AWS_SECRET.finditer(match.string, *around):
            if sum(max(3, len(part)) for part in _WORDY.findall(secret.group())) <= _MOST_WORDY:
                yield Span(*secret.span(), rule)
    elif rule == "twilio-key" and (token := _TWILIO_TOKEN.match(match.string, match.end())):
        yield Span(*token.span(1), rule)


# PEM: RFC 7468; PGP's armor: RFC 9580 section 6.2; SSH2's: RFC 4716. Form encoding makes a space a plus.
_PEM_EDGE = regex(r"-{4,5} ?(?P<edge>BEGIN|END)[ +](?:[A-Z0-9]{1,20}[ +]){0,4}PRIVATE[ +]KEY(?:[ +]BLOCK)? ?-{4,5}")
PEM_HINT = "private[ +]key"
_PEM_LONGEST = 20_000  # characters of the longest key; a key of 16,384 bits has 12,700
_PEM_GAP = 200  # characters in a body that may be other than base64: headers, and the wrapping of lines
_PEM_RUN = regex(r"[A-Za-z0-9+/=]{16,}")
_PEM_REST = regex(  # the last line may be short
    r"[^\w+/=\n]{0,8}(?:\\{0,4}n|\n)?[^\w+/=\n]{0,8}[A-Za-z0-9+/=]{1,15}(?![A-Za-z0-9+/=])"
)


def pem_keys(scan: Scan) -> Iterator[Span]:
    """Yield private keys from `-----BEGIN … PRIVATE KEY-----` to their last line, with any wrapping of the lines.

    If the last line is missing, the key extends to the end of the base64; if the first is, to its beginning.
    """
    covered = 0
    edges = list(_PEM_EDGE.finditer(scan.text))
    for edge, after in zip(edges, [*edges, None][1:], strict=True):
        if edge.end() > covered:
            start = _body_start(scan.text, covered, edge.start()) if edge["edge"] == "END" else edge.start()
            covered = edge.end() if edge["edge"] == "END" else _body_end(scan.text, edge.end(), after)
            yield Span(start, covered, "pem-private-key")


def without_pem_lines(items: list[Any]) -> list[Any]:
    """Replace each line of a private key in `items` (as from `readlines`) with a marker."""
    lines = [item if type(item) is str else "" for item in items]
    begins = list(accumulate((len(line) + 1 for line in lines), initial=0))
    masked = list(items)
    for start, end, rule in pem_keys(Scan("\n".join(lines))):
        for at in range(bisect_right(begins, start) - 1, bisect_left(begins, end)):
            masked[at] = marker(rule) if lines[at] else items[at]
    return masked


def _body_end(text: str, start: int, after: re.Match[str] | None) -> int:
    """Return the end of a body: its last line, or the end of the base64."""
    limit = min(start + _PEM_LONGEST, after.start() if after else len(text))
    if after and after["edge"] == "END" and after.start() == limit:
        return after.end()
    end = start
    while run := _PEM_RUN.search(text, end, min(limit, end + _PEM_GAP)):
        end = run.end()
    rest = _PEM_REST.match(text, end, limit) if end > start else None
    return rest.end() if rest else end


def _body_start(text: str, covered: int, end: int) -> int:
    """Return the beginning of a body without its first line."""
    start = end
    for run in reversed(list(_PEM_RUN.finditer(text, max(covered, end - _PEM_LONGEST), end))):
        if start - run.end() > _PEM_GAP:
            break
        start = run.start()
    return start
