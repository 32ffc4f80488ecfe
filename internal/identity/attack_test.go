package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The keys of an honest issuer, and of somebody else.
var (
	rsaKey, _    = rsa.GenerateKey(rand.Reader, 2048)
	otherRSA, _  = rsa.GenerateKey(rand.Reader, 2048)
	weakRSA, _   = rsa.GenerateKey(rand.Reader, 1024)
	ecKey, _     = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _  = ed25519.GenerateKey(rand.Reader)
	wide, _      = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	sharedSecret = []byte(strings.Repeat("k", 32))
)

// A keyDoc is a key as a JWK Set has it.
func keyDoc(t testing.TB, id string, public any, more map[string]any) map[string]any {
	t.Helper()
	k, err := jwk.Import(public)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	doc["kid"] = id
	maps.Copy(doc, more)
	return doc
}

// An idp is an authorization server, as far as keys go.
type idp struct {
	*httptest.Server
	keys    atomic.Pointer[[]map[string]any]
	down    atomic.Bool
	fetches atomic.Int64
}

func startIDP(t testing.TB, keys ...map[string]any) *idp {
	t.Helper()
	p := &idp{}
	p.keys.Store(&keys)
	mux := http.NewServeMux()
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		if p.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": *p.keys.Load()})
	})
	return p
}

// method is a JWT method that runs until the test ends.
func method(t testing.TB, issuers ...Issuer) *JWT {
	t.Helper()
	j := NewJWT(issuers, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = j.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return j
}

func issuer(p *idp, change func(*Issuer)) Issuer {
	i := Issuer{
		Mapping:    Mapping{Issuer: p.URL, Audience: "https://gw.example/servers/{server}/mcp", IDClaim: "sub", RolesClaim: "realm_access.roles", Skew: 30 * time.Second},
		Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA", "Ed25519"}, Tokens: AccessTokens,
	}
	if change != nil {
		change(&i)
	}
	return i
}

var b64 = base64.RawURLEncoding.EncodeToString

// sign makes a token of any header and payload, right or wrong.
func sign(t testing.TB, header, payload string, with any) string {
	t.Helper()
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	var h struct{ Alg string }
	_ = json.Unmarshal([]byte(header), &h) // that of a duplicate does not matter here
	digest := sha256.Sum256([]byte(text))
	var sig []byte
	var err error
	switch k := with.(type) {
	case nil:
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(text))
		sig = mac.Sum(nil)
	case *rsa.PrivateKey:
		if strings.HasPrefix(h.Alg, "PS") {
			sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:])
		}
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, k, digest[:])
		n := (k.Params().BitSize + 7) / 8
		sig, err = append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...), e
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(sig)
}

// payload is a good payload with some members changed; nil takes one out.
func payload(t testing.TB, p *idp, change map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": p.URL, "aud": "https://gw.example/servers/a/mcp", "sub": "alice", "iat": now, "exp": now + 300,
		"realm_access": map[string]any{"roles": []string{"dev", "ops"}}, "scope": "mcp:read mcp:write", "tenant": 12345678901234567,
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func request(token string) *Request {
	return &Request{Header: http.Header{"Authorization": {"Bearer " + token}}, Peer: netip.MustParseAddr("192.0.2.7"), Server: "a"}
}

const rs256 = `{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`

// TestTokens is the table of tokens that must and must not be taken.
func TestTokens(t *testing.T) {
	der, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	asked := false // by a URL in a token
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{keyDoc(t, "rsa", otherRSA.Public(), nil)}})
	}))
	defer evil.Close()
	p := startIDP(
		t, keyDoc(t, "rsa", rsaKey.Public(), map[string]any{"alg": "RS256", "use": "sig"}), keyDoc(t, "rsa-any", rsaKey.Public(), nil),
		keyDoc(t, "ec", ecKey.Public(), nil), keyDoc(t, "wide", wide.Public(), nil), keyDoc(t, "ed", edKey.Public(), nil),
		map[string]any{"kty": "RSA", "kid": "weak", "n": b64(weakRSA.N.Bytes()), "e": "AQAB"}, keyDoc(t, "enc", otherRSA.Public(), map[string]any{"use": "enc"}),
		keyDoc(t, "ops", otherRSA.Public(), map[string]any{"key_ops": []string{"encrypt"}}),
		keyDoc(t, "private", otherRSA, nil), keyDoc(t, "secret", sharedSecret, nil),
		map[string]any{"kty": "AKP", "kid": "later", "pub": "AA"},
	)
	other := startIDP(t, keyDoc(t, "rsa", otherRSA.Public(), nil))
	b := &Bearer{JWT: method(t, issuer(p, nil), issuer(other, func(i *Issuer) { i.Algorithms = []string{"RS256"} }))}

	claims := func(change map[string]any) string { return payload(t, p, change) }
	header := func(alg, kid string, more string) string {
		return `{"alg":"` + alg + `","kid":"` + kid + `"` + more + `}`
	}
	good := claims(nil)
	now := time.Now().Unix()
	one := func(name string, value any) string {
		return sign(t, rs256, claims(map[string]any{name: value}), rsaKey)
	}
	token := sign(t, rs256, good, rsaKey)
	parts := strings.Split(token, ".")
	embedded, err := json.Marshal(keyDoc(t, "rsa", otherRSA.Public(), nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, token, why string }{
		{"good", token, ""},
		{"typ of RFC 9068 in full", sign(t, header("RS256", "rsa", `,"typ":"application/AT+JWT"`), good, rsaKey), ""},
		{"typ JWT", sign(t, header("RS256", "rsa", `,"typ":"JWT"`), good, rsaKey), ""},
		{"no typ", sign(t, header("RS256", "rsa", ""), good, rsaKey), ""},
		{"no kid", sign(t, `{"alg":"RS256"}`, good, rsaKey), ""},
		{"PS256", sign(t, header("PS256", "rsa-any", ""), good, rsaKey), ""},
		{"ES256", sign(t, header("ES256", "ec", ""), good, ecKey), ""},
		{"EdDSA", sign(t, header("EdDSA", "ed", ""), good, edKey), ""},
		{"Ed25519", sign(t, header("Ed25519", "ed", ""), good, edKey), ""},
		{"x5t is a name alone", sign(t, header("RS256", "rsa", `,"x5t":"AAAA"`), good, rsaKey), ""},
		{"several audiences", one("aud", []string{"https://other", "https://gw.example/servers/a/mcp"}), ""},
		{"expired within the skew", one("exp", now-20), ""},
		{"not yet valid within the skew", one("nbf", now+20), ""},
		{"fractions of seconds", one("exp", float64(now)+100.5), ""},

		{"alg none", sign(t, header("none", "rsa", ""), good, nil), "algorithm"},
		{"alg NONE", sign(t, header("NONE", "rsa", ""), good, nil), "algorithm"},
		{"alg nOnE with a signature", sign(t, header("nOnE", "rsa", ""), good, rsaKey), "algorithm"},
		{"no alg", sign(t, `{"kid":"rsa"}`, good, rsaKey), "algorithm"},
		{"alg empty", sign(t, header("", "rsa", ""), good, rsaKey), "algorithm"},
		{"alg is a list", sign(t, `{"alg":["RS256"],"kid":"rsa"}`, good, rsaKey), "header"},
		{"lower case alg", sign(t, header("rs256", "rsa", ""), good, rsaKey), "algorithm"},
		{"no signature", parts[0] + "." + parts[1] + ".", "signed by"},
		{"two parts", parts[0] + "." + parts[1], "unknown token"},
		{"four parts", token + ".AA", "unknown token"},
		{"encrypted", parts[0] + ".AA.AA.AA.AA", "unknown token"},
		{"wrong key", sign(t, rs256, good, otherRSA), "signed by"},
		{"HS256 with the public key, PEM", sign(t, header("HS256", "rsa", ""), good, publicPEM), "algorithm"},
		{"HS256 with the public key, DER", sign(t, header("HS256", "rsa", ""), good, der), "algorithm"},
		{"HS256 with a secret of the set", sign(t, header("HS256", "secret", ""), good, sharedSecret), "algorithm"},
		{"RS256 said of a MAC", sign(t, rs256, good, publicPEM), "signed by"},
		{"RSA named for ES256", sign(t, header("ES256", "rsa", ""), good, ecKey), "signed by"},
		{"EC named for RS256", sign(t, header("RS256", "ec", ""), good, rsaKey), "signed by"},
		{"another alg than the key's", sign(t, header("PS256", "rsa", ""), good, rsaKey), "signed by"},
		{"ES256 by a key on P-384", sign(t, header("ES256", "wide", ""), good, wide), "signed by"},
		{"weak key", sign(t, header("RS256", "weak", ""), good, weakRSA), "signed by"},
		{"key for encryption", sign(t, header("RS256", "enc", ""), good, otherRSA), "signed by"},
		{"key for other operations", sign(t, header("RS256", "ops", ""), good, otherRSA), "signed by"},
		{"private key in the set", sign(t, header("RS256", "private", ""), good, otherRSA), "signed by"},
		{"DER instead of r and s", sign(t, header("ES256", "ec", ""), good, rsaKey), "signed by"},
		{"zero signature", b64([]byte(header("ES256", "ec", ""))) + "." + b64([]byte(good)) + "." + b64(make([]byte, 64)), "signed by"},
		{"header swapped after signing", b64([]byte(header("RS256", "rsa", ` `))) + "." + parts[1] + "." + parts[2], "signed by"},
		{"payload swapped after signing", parts[0] + "." + b64([]byte(claims(map[string]any{"sub": "root"}))) + "." + parts[2], "signed by"},

		{"kid traversal", sign(t, header("RS256", "../../../../dev/null", ""), good, otherRSA), "signed by"},
		{"kid with SQL", sign(t, header("RS256", "x' UNION SELECT 'k", ""), good, otherRSA), "signed by"},
		{"kid is a URL", sign(t, header("RS256", evil.URL, ""), good, otherRSA), "signed by"},
		{"kid is a number", sign(t, `{"alg":"RS256","kid":1}`, good, rsaKey), "header"},
		{"kid of another issuer's key", sign(t, rs256, good, otherRSA), "signed by"},
		{"jku", sign(t, header("RS256", "rsa", `,"jku":"`+evil.URL+`"`), good, otherRSA), "header"},
		{"x5u", sign(t, header("RS256", "rsa", `,"x5u":"`+evil.URL+`"`), good, otherRSA), "header"},
		{"jwk", sign(t, header("RS256", "rsa", `,"jwk":`+string(embedded)), good, otherRSA), "header"},
		{"x5c", sign(t, header("RS256", "rsa", `,"x5c":["`+base64.StdEncoding.EncodeToString(der)+`"]`), good, otherRSA), "header"},
		{"crit", sign(t, header("RS256", "rsa", `,"crit":["exp"],"exp":1`), good, rsaKey), "header"},
		{"b64", sign(t, header("RS256", "rsa", `,"b64":false`), good, rsaKey), "header"},
		{"compressed", sign(t, header("RS256", "rsa", `,"zip":"DEF"`), good, rsaKey), "header"},
		{"signed in encrypted", sign(t, header("RSA-OAEP", "rsa", `,"enc":"A256GCM","cty":"JWT"`), good, rsaKey), "header"},

		{"duplicate alg", sign(t, `{"alg":"RS256","alg":"none","kid":"rsa"}`, good, rsaKey), "malformed"},
		{"duplicate alg, escaped", sign(t, `{"alg":"RS256","\u0061lg":"none","kid":"rsa"}`, good, rsaKey), "malformed"},
		{"duplicate sub", sign(t, rs256, `{"sub":"root",`+good[1:], rsaKey), "malformed"},
		{"duplicate in depth", sign(t, rs256, strings.Replace(good, `"roles":`, `"roles":["admin"],"roles":`, 1), rsaKey), "malformed"},
		{"invalid UTF-8", sign(t, rs256, strings.Replace(good, "alice", "al\xffice", 1), rsaKey), "malformed"},
		{"trailing data", sign(t, rs256, good+"{}", rsaKey), "malformed"},
		{"payload is a list", sign(t, rs256, "["+good+"]", rsaKey), "malformed"},
		{"payload is null", sign(t, rs256, "null", rsaKey), "malformed"},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], "malformed"},
		{"line break in a part", parts[0] + "." + parts[1][:10] + "\n" + parts[1][10:] + "." + parts[2], "malformed"},
		{"loose last bits", loosen(token), "malformed"},
		{"oversized", one("pad", strings.Repeat("x", maxToken)), "too long"},

		{"wrong iss", one("iss", "https://evil.example"), "issuer"},
		{"iss with a slash", one("iss", p.URL+"/"), "issuer"},
		{"iss in another case", one("iss", strings.ToUpper(p.URL)), "issuer"},
		{"no iss", one("iss", nil), "issuer"},
		{"iss is a list", one("iss", []string{p.URL}), "issuer"},
		{"iss of another issuer that is known", one("iss", other.URL), "signed by"},
		{"wrong aud", one("aud", "https://other.example/mcp"), "audience"},
		{"aud of another server", one("aud", "https://gw.example/servers/b/mcp"), "audience"},
		{"aud as configured", one("aud", "https://gw.example/servers/{server}/mcp"), "audience"},
		{"aud with a slash", one("aud", "https://gw.example/servers/a/mcp/"), "audience"},
		{"aud is a prefix", one("aud", "https://gw.example/servers/a"), "audience"},
		{"aud is an object", one("aud", map[string]any{"https://gw.example/servers/a/mcp": true}), "audience"},
		{"aud of mixed types", one("aud", []any{"https://gw.example/servers/a/mcp", 1}), "audience"},
		{"no aud", one("aud", nil), "audience"},
		{"expired", one("exp", now-31), "expired"},
		{"no exp", one("exp", nil), "never expires"},
		{"exp is text", one("exp", "99999999999"), "not numbers"},
		{"exp beyond numbers", sign(t, rs256, strings.Replace(good, `"exp":`, `"exp":1e400,"x":`, 1), rsaKey), "not numbers"},
		{"exp is null", sign(t, rs256, strings.Replace(good, `"exp":`, `"exp":null,"x":`, 1), rsaKey), "not numbers"},
		{"not yet valid", one("nbf", now+60), "not valid yet"},
		{"issued in the future", one("iat", now+60), "not valid yet"},
		{"no sub", one("sub", nil), "name its caller"},
		{"empty sub", one("sub", ""), "name its caller"},
		{"sub is a number", one("sub", 1), "name its caller"},
		{"sub with a line break", one("sub", "a\nb"), "name its caller"},
		{"roles are an object", one("realm_access", map[string]any{"roles": map[string]any{"dev": true}}), "roles"},
		{"roles are numbers", one("realm_access", map[string]any{"roles": []int{1}}), "roles"},
		{"bound to a key", one("cnf", map[string]any{"jkt": "x"}), "bound to a key"},
		{"ID token by nonce", sign(t, header("RS256", "rsa", ""), claims(map[string]any{"nonce": "n"}), rsaKey), "not an access token"},
		{"ID token by at_hash", sign(t, header("RS256", "rsa", `,"typ":"JWT"`), claims(map[string]any{"at_hash": "n"}), rsaKey), "not an access token"},
		{"ID token by Keycloak's typ", sign(t, header("RS256", "rsa", `,"typ":"JWT"`), claims(map[string]any{"typ": "ID"}), rsaKey), "not an access token"},
		{"logout token", sign(t, header("RS256", "rsa", `,"typ":"logout+jwt"`), good, rsaKey), "not an access token"},
		{"DPoP proof", sign(t, header("RS256", "rsa", `,"typ":"dpop+jwt"`), good, rsaKey), "not an access token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			caller, err := b.Identify(t.Context(), request(tc.token))
			if tc.why == "" {
				if err != nil || caller.ID != "alice" || caller.Auth != AuthJWT || caller.Issuer != p.URL {
					t.Errorf("caller %+v, error %v", caller, err)
				}
				return
			}
			if caller != nil || !errors.Is(err, ErrBadCredentials) || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("caller %+v, error %v; want one about %q", caller, err, tc.why)
			}
		})
	}
	t.Cleanup(func() {
		if asked {
			t.Error("a URL in a token was asked")
		}
	})
}

// loosen changes bits of the last character of a signature that stand for nothing.
func loosen(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}
