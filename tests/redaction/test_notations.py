"""Tests that keys and passwords are masked in every notation of prompts, answers, errors, logs, code and commands."""

import base64
import random
import re
from collections.abc import Callable, Iterator

import base58

from src.observability.redaction.names import word_set
from src.observability.redaction.redactor import FAILED, redact_text
from tests.cases import cases

# `K` is a key without a format of its own, `P` a password, `X` 64 hex digits, `⏎` a line break.
NOTATIONS = {
    "code": r'''
API_KEY: Final[str] = "K"
api_key: Optional[str] = "K"
self.api_key = api_key or "K"
headers = {"X-API-Key": f"K"}
requests.get(url, auth=("user", "K"))
hmac.new(b"K", message, hashlib.sha256)
hmac.new("K".encode(), msg, hashlib.sha256)
)⏎API_SECRET = \⏎    "K"
api_keys = {'binance': 'K'}
credentials = {"key": "K", "secret": "K"}
Binance(key="K", secret="K")
api_key=SecretStr("K")
export const API_SECRET = process.env.API_SECRET || "K";
apiKey: process.env.KEY || 'K',
new Binance().options({ APIKEY: 'K', APISECRET: 'K' });
let api_key: &str = "K";
let secret_key = String::from("K");
const API_SECRET: &str = "K";
pub static API_SECRET: &'static str = "K";
api_key: Some("K"),
const apiSecret string = "K"
[]byte("K") // api secret
secretKey := []byte("K")
std::string api_key{"K"};
char api_key[] = "K";
api_secret = ENV["API_SECRET"] || "K"
Set-Item -Path Env:API_SECRET -Value "K"
static NSString *const kApiKey = @"K";
string ApiKey = @"K";
public string ApiSecret { get; set; } = "K";
api_key <- "K"
CREATE USER 'bot'@'%' IDENTIFIED BY 'P';
ALTER USER bot IDENTIFIED BY P;
identified by 'P'
exchange = ccxt.binance({'apiKey': 'K', 'secret': 'K', 'enableRateLimit': True})
os.environ["BINANCE_API_SECRET"] = "K"
API_KEY = os.getenv("API_KEY", "K")
API_KEY = os.getenv("API_KEY") or f"K"
api_key  =                    "K"
api_key = SecretStr(b"K")
api_keys_prod = SecretStr("K")
def __init__(self, api_key="K"):
session.headers["X-MBX-APIKEY"] = "K"
API_SECRET = b"K"
print(f"api_key={api_key!r}") -> api_key='K'
const apiKey: string = "K";
var secretKey=`K`;
let api_key = "K".to_string();
Credentials { api_key: "K".into(), secret: "K".into() }
os.Setenv("API_SECRET", "K")
cfg := Config{APIKey: "K", Secret: "K"}
private static final String API_KEY = "K";
#define API_KEY "K"
$apiKey = 'K';
'api_secret' => 'K',
ENV.fetch("API_SECRET", "K")
$env:API_SECRET = "K"
val apiKey: String = "K"
CREATE USER bot WITH PASSWORD 'P';
UPDATE accounts SET api_secret = 'K' WHERE id = 1;
In [3]: api_secret⏎Out[3]: 'K'
new ethers.Wallet("0xX")
web3.eth.accounts.wallet.add('0xX')
priv = '0xX'
''',
    "configuration": r'''
binance: {key: K, secret: K}
<add key="ApiSecret" value="K" />
<property name="api.secret" value="K"/>
<property name="password">P</property>
<entry key="api_secret">K</entry>
<string name="api_key">K</string>
<password><![CDATA[P]]></password>
<input type="hidden" name="api_key" value="K">
<input name="api_key" type="hidden" value="K">
<input name="password" value="P" type="text">
<meta name="api-key" content="K">
<td>API key</td><td>K</td>
<tr><td>API Secret</td><td><code>K</code></td></tr>
<b>API key:</b> K
<b>API key</b>: <code>K</code>
<key>apiSecret</key><string>K</string>
<key>apiSecret</key>⏎	<string>K</string>
api_secret,K
machine api.binance.com login bot password P
machine api.binance.com⏎  login bot⏎  password P
redis-cli -a P ping
requirepass P
masterauth P
export API_KEY='K' && python bot.py
setx API_SECRET K
docker run -e "API_SECRET=K" bot
environment:⏎  - API_SECRET=K
- name: API_SECRET⏎  value: K
- {name: API_SECRET, value: K}
api_key = 'K' # prod
spring.datasource.password=P
<ApiSecret>K</ApiSecret>
Server=db;Database=t;User Id=bot;Password=P;
jdbc:mysql://db/trades?user=bot&password=P&useSSL=false
redis://:P@cache:6379/0
//registry.npmjs.org/:_authToken=K
[binance]⏎key = K⏎secret = K
binance:⏎  secret: K⏎  key: K
variable "api_key" {⏎  default = "K"⏎}
variable "api_key" {⏎  type      = string⏎  sensitive = true⏎  default   = "K"⏎}
networks: { main: { accounts: ['0xX'] } }
dsn=bot:P@tcp(db:3306)/trades
<b>Secret</b><br/>K
''',
    "data": r'''
{"key": "K", "secret": "K", "passphrase": "P"}
{"value": "K", "name": "api_secret"}
{"api_keys": {"binance": "K"}}
{"credentials": {"binance": {"key": "K", "secret": "K"}}}
{"apiKey": {"value": "K"}}
Settings(binance_secret=SecretStr('K'))
{"env": ["API_SECRET=K"]}
{"args": ["--api-secret", "K"]}
{"secrets": {"binance": "K"}}
"{\"api_key\": \"K\"}"
{"headers": [{"name": "X-API-KEY", "value": "K"}]}
Config(api_key='K', sandbox=True)
map[api_key:K symbol:BTC]
OrderedDict([('api_key', 'K')])
#<Config api_key="K">
''',
    "logs and requests": r'''
2025-12-11 10:00:00 DEBUG connecting with key K secret K
{"level":"debug","msg":"using api key K"}
[DEBUG] API key set to K
APIError(code=-2014): API-key format invalid: K
KeyError: 'K' (api_key)
E       AssertionError: assert 'K' == api_key
api_secret⏎  Value error, bad [type=value_error, input_value='K', input_type=str]
{"error": "api_secret\n  Value error, bad [type=value_error, input_value='K', input_type=str]"}
api_secret⏎  Input should be a valid integer [type=int_parsing, input_value='K', input_type=str]
GET /v1/news?token=K HTTP/1.1
wss://stream.example.com/ws?listenKey=K
APCA-API-KEY-ID: K
X-Vault-Token: K
Proxy-Authorization: Basic QjZ4OnRyYWRlcjpodW50ZXIyYWJj⏎Sec-WebSocket-Protocol: bearer, K
level=info msg="login" api_key=K
Incorrect API key provided: K. You can find your API key at https://platform.openai.com
Invalid API-key (K), IP, or permissions for action
GET /api/v3/account?apikey=K&timestamp=1 HTTP/1.1
APCA-API-SECRET-KEY: K
Ocp-Apim-Subscription-Key: K
[(b'Host', b'x'), (b'X-API-KEY', b'K')]
< set-cookie: session=K; HttpOnly
+ export API_SECRET=K
User bot logged in with password P
The password P is too weak
password (P) is too weak
wallet's key: 0xX
BINANCE_API_KEY⏎    K
Authorization: HMAC K
''',
    "command lines": r'''
bot --token K
run --token K
bot --token=K
curl -u bot:P https://x
curl -u "bot:P" https://x
sshpass -p P ssh bot@host
mysql -u bot -p'P' trades
mysqldump -p'P' trades
curl -s --user bot:P https://x
wget --user bot:P https://x
http -u bot:P https://x
vault operator unseal K
redis-cli -h cache -a P ping
mongosh -u bot -p P
gh secret set API_SECRET --body "K"
twine upload -u __token__ -p K
docker login -u bot -p P
vault login K
az login --service-principal -u app -p K
freqtrade trade --config '{"exchange": {"key": "K", "secret": "K"}}'
bot --api-key=K
cast send --private-key 0xX 0xdead
PGPASSWORD=P psql
aws configure set aws_secret_access_key K
heroku config:set API_SECRET=K
kubectl create secret generic bot --from-literal=api-secret=K
''',
    "chats": r'''
here you go: key K, secret K
api key👉 K
_API key_: K
API key ```K```
API key:⏎```⏎K
API key (read-only): K
API key [prod]: K
API key for Binance: K
API key for the main account is K
secret is: K
the password is: P
login bot, password P
my token: K
our key: K
your key: K
bot key: K
key: K and the secret: K
key=K&api_secret=K
API key used: K
access token given: K
K was your api key
use K as the api key
K is a valid api key
Put K into api_key
K # api key
API key 2: K
my pk is 0xX
API_KEY … K
API_KEY ... K
API key ➜ K
API key ⇒ K
API key ⟶ K
api key：K
我的API key是K
API key＝K
Put K in API_SECRET
K is my api key
K (API key)
K <- api key
K // api key
'K' is not a valid api key
my binance key is K and the secret is K
*API key:* `K`
binance api key K secret K
PASSWORD - P
user: bot pass: P
private key 0xX
• API key: K
api key “K”
Set `API_SECRET` to `K`.
API Key（只读）：K
admin password P
default passwd P
api key equals K
API-KEY >> K
api_key[K]
API key below:⏎K
> **Secret**⏎> K
recovery key: K
''',
    "languages": r'''
APIキー: K
APIキーはKです
APIキーは「K」です
APIキー「K」
シークレット: K
秘密鍵は0xXです
パスワード: P
パスワードはPです
パスワード：P
トークン: K
アクセストークン：K
API密钥: K
API密钥：K
密钥是K
密钥：K
API金鑰：K
我的api密钥是 K
密码: P
密码：P
密码是P
密碼：P
口令：P
令牌：K
访问令牌：K
私钥：0xX
API 키는 K 입니다
API키: K
비밀키: K
시크릿 키: K
비밀번호: P
비밀번호는 P 입니다
암호: P
토큰: K
액세스 토큰: K
API-Schlüssel: K
API-Schlüssel ist K
Mein API-Schlüssel lautet K
Schlüssel: K
Geheimer Schlüssel: K
Geheimnis: K
Passwort lautet P
Kennwort: P
Mein Passwort ist P
clé API : K
clé secrète: K
mot de passe : P
clave API: K
clave secreta: K
contraseña: P
contraseña es P
chave de API: K
chave secreta: K
senha: P
chiave API: K
ключ API: K
секретный ключ: K
пароль: P
токен: K
Schlüssel für Binance: K
пароль - P
''',
}  # fmt: skip
_PLACE = re.compile(
    r"(?<![A-Za-z0-9_.$@-])[KP](?![A-Za-z0-9_-])|(?<=@\")K|(?<![A-Za-z0-9_.$/-])X(?![A-Za-z0-9_.-])|(?<=0x)X"
)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _hex(make: random.Random, size: int) -> str:
    return make.randbytes(size).hex()


KEYS: dict[str, Callable[[random.Random], str]] = {
    "64 letters and digits": lambda make: "".join(make.choices(_LETTERS, k=60)) + "aB12",  # Binance
    "32 small letters and digits": lambda make: "".join(make.choices(_LETTERS[26:], k=28)) + "ab12",
    "32 hex digits": lambda make: _hex(make, 14) + "ab12",
    "a UUID": lambda make: "-".join(_hex(make, size) for size in (4, 2, 2, 2, 6)),
    "base64": lambda make: base64.b64encode(make.randbytes(64)).decode(),  # Kraken
}
PASSWORDS = ("hunter2abc", "Tr@de#2024!", "x1abcdefgh5678")


def _lines(kind: str) -> Iterator[str]:
    return (line.replace("⏎", "\n") for line in NOTATIONS[kind].strip("\n").split("\n"))


def _filled(line: str, key: str, password: str, make: random.Random) -> tuple[str, list[str]]:
    """Return the notation filled with secrets, and the list of these secrets."""
    secrets: list[str] = []

    def secret(place: re.Match[str]) -> str:
        secrets.append({"K": key, "P": password, "X": _hex(make, 32)}[place.group()])
        return secrets[-1]

    return _PLACE.sub(secret, line), secrets


@cases("kind", NOTATIONS)
def test_a_key_is_masked_in_any_notation(kind: str) -> None:
    """No key or password is left in a text of any notation."""
    make = random.Random(kind)
    leaks = []
    for line in _lines(kind):
        for name, key in KEYS.items():
            text, secrets = _filled(line, key(make), make.choice(PASSWORDS), make)
            assert secrets
            leaks += [(name, text) for secret in secrets if secret in redact_text(text)]
    assert leaks == []


def test_a_key_that_looks_public_is_known_by_its_name() -> None:
    """A key that looks like a hash is masked after a variable's name. In prose, 40 hex digits are masked; 64 stay."""
    make = random.Random("public")
    key, short = _hex(make, 32), _hex(make, 20)
    assert redact_text(f"HELIUS_API_KEY {key}") == "HELIUS_API_KEY [REDACTED:named-secret]"
    assert redact_text(f"my API key {short}") == "my API key [REDACTED:named-secret]"
    assert redact_text(f"my API key {key}") == f"my API key {key}"


def test_a_key_in_hex_is_known_by_the_secret_beside_it() -> None:
    """A hex value named `key` is masked only beside a `secret`. A password like a ticker symbol is masked."""
    make = random.Random("pair")
    key, secret, named = _hex(make, 16), KEYS["64 letters and digits"](make), "[REDACTED:named-secret]"
    assert redact_text(f"key: {key}, secret: {secret}") == f"key: {named}, secret: {named}"
    assert redact_text(f"secret: {secret}, key: {key}") == f"secret: {named}, key: {named}"
    assert redact_text(f"key: {key}, token: {key}") == f"key: {key}, token: {key}"
    assert redact_text('password = "HUNTER2"') == f'password = "{named}"'


# Public values, which trading prompts have in the places where `NOTATIONS` has a key.
PUBLIC: dict[str, Callable[[random.Random], str]] = {
    "an address of Solana": lambda make: base58.b58encode(make.randbytes(32)).decode(),
    "an address of Ethereum": lambda make: "0x" + _hex(make, 20),
    "a hash": lambda make: _hex(make, 32),
    "a price": lambda make: f"{make.randrange(10_000, 99_999)}.50",
    "words": lambda _: "liquidations",
}


def test_addresses_and_prices_stay_in_other_languages() -> None:
    """In languages other than English too, a 'key' may be a price level and a 'token' a coin; neither is masked."""
    make = random.Random("public")
    for line in _lines("languages"):
        for public in PUBLIC.values():
            text = _PLACE.sub(public(make), line)
            if "K" in _PLACE.findall(line):
                assert redact_text(text) == text


HARMLESS = (
    'return {"Authorization": f"Bearer {api_key}"}', "credentials = '{0}:{1}'.format(user, passwd)", "OLDPWD=/home/bot",
    'if not self.password:\n    msg = "No password was specified."', 'auth = "%s:%s" % (user, password)',
    "api_key = vault.read('bot/key-2')", 'API_KEY = os.environ["OPENAI_KEY_2"]', "password = getpass('Password 2: ')",
    "secret = read_file('/run/secrets/binance_2')", "token is BONK",
    "my token: GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz",
    "5d41402abc4b2a76b9719d911017c592 is the hash of my api key",
    "price 97123 (API key missing)", "docker run -p 8080:80 bot",
    "the API key for Binance: ask the desk", "password for root: required", "API key (optional): string",
    "curl -u https://example.com/2025/12/11", "<td>API key</td><td>read-only</td>", '<input name="password" value="">',
    "PasswordAuthentication no", "password is too short", "api_key[provider]",
    "Authorization: See Handbook", "Cookie: theme=dark2024; lang=en", "the boarding pass -> gate12b34",
    "password protected files", "Authorization: pending approval", "API key -> see the vault",
    "secret: 12 of 16 shards", "password: vault.binance", "API_KEY=load_key(path)", "the API key v2-readonly works",
    "API_KEY v2-readonly works",
    "accounts: ['0x815efb439d5f1b0ac99896f5522f7049e70f6295']", "authorization = encode(user1)",
    "logged in with password authentication",
    'variable "api_key" {\n  default = ""\n}', "token_address = GKGxUidS4Whmt1A911V647bAadLn9w2tKfj6Bz9mA4Sz",
)  # fmt: skip


@cases("text", HARMLESS)
def test_a_text_about_keys_stays(text: str) -> None:
    """Code, templates, labels and prose without a secret are not masked."""
    assert redact_text(text) == text


PLACEHOLDERS = word_set(
    "your_api_key_here my-api-key my_secret your-token-2 my_key_name ${TOKEN} ${TOKEN:-none} {{vault.key}} {token} $1 "
    "$API_TOKEN $token $(get_token) $env:TOKEN $TOKEN/v2 %TOKEN% %(token)s %s <your-token> <token1> [token] xxxxxxxx "
    "******** sk-... abc...xyz abc***xyz abc…xyz changeme change-me replace_this fill-it not_set not-needed "
    "no-key-needed sk-no-key-required placeholder undefined none null nil true false required optional missing "
    "invalid empty unset string str int bool bytes any hidden redacted masked example unknown n/a string|null none! "
    "config.token settings.token self.token this.token args.token kwargs[token] process.env.TOKEN "
    "import.meta.env.TOKEN os.environ[TOKEN] env.TOKEN getenv(TOKEN) 3.5e-7 12.5% 2025-12-11 $SOL BTC/USDT SOL2"
)


def test_a_placeholder_stays() -> None:
    """A placeholder, a variable, a type, a price, a date or a symbol in a secret's place is not masked."""
    shapes = 'api_key = "{}"', "api_key: {}", "API_KEY={}", '{{"api_key": "{}"}}'
    masked = [text for shape in shapes for word in PLACEHOLDERS if redact_text(text := shape.format(word)) != text]
    assert masked == []


# Pieces of notations, which are joined at random to imitate malformed code and prose.
PIECES = (
    *"\"'`:= \n\t()[]{},;|#@$", "password", "api_key", "token", "secret", "key", "a1B2c3D4e5F6g7H8i9J0", "hunter2abc",
    "->",
    "—", "<b>", "</b>", "value", "name", '\\"', "--", "-u", "curl ", "is", "my", "for", "to", "```", "“", "：", "は",
    "APIキー", "0x" + "ab" * 32, "Bearer", "cookie", "...", "%s", "{x}", "https://", "os.getenv", "or", "||",
    "[REDACTED:jwt]", "sk-", "&apos;", "%20", "\x1b[31m", "的", "seed phrase",
)  # fmt: skip


def test_no_mixture_of_notations_is_lost() -> None:
    """No mixture of notations makes redaction fail, and redacting its result again changes nothing."""
    make = random.Random("pieces")
    for _ in range(4000):
        text = "".join(make.choices(PIECES, k=make.randrange(2, 14)))
        done = redact_text(text)
        assert FAILED not in done, text
        assert redact_text(done) == done, text
    assert redact_text('"password" "hunter2abc"') == '"password" "[REDACTED:named-secret]"'
    assert redact_text("api key\u200b: a1B2c3D4e5F6g7H8i9J0") == "api key\u200b: [REDACTED:named-secret]"
