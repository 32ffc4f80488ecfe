package identity

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"golang.org/x/sync/errgroup"
)

// Kinds of tokens that an issuer's tokens may be.
const (
	AccessTokens = "access" // RFC 9068, or untyped and not an ID token by its claims
	TypedTokens  = "at+jwt" // RFC 9068 alone, which says so in its header
	AnyTokens    = "any"    // ID tokens too
)

// An Issuer is one authorization server whose JWTs are accepted.
type Issuer struct {
	Mapping
	JWKSURL    string   // empty: what the issuer's metadata say
	Algorithms []string // allowed ones; all asymmetric
	Tokens     string   // AccessTokens, TypedTokens or AnyTokens
}

// JWT proves callers by JSON Web Tokens of known issuers.
type JWT struct {
	issuers map[string]*trusted
	order   []*trusted
	client  *http.Client
}

// trusted is an issuer with its keys.
type trusted struct {
	Issuer
	keys *keySet
}

// NewJWT returns the method for a set of issuers with different names. It knows
// no keys before Run.
func NewJWT(issuers []Issuer, log *slog.Logger) *JWT {
	j := &JWT{issuers: map[string]*trusted{}, client: newClient()}
	for _, i := range issuers {
		from := &source{client: j.client, issuer: i.Issuer, url: i.JWKSURL}
		t := &trusted{Issuer: i, keys: newKeySet(from.fetch, log.With("issuer", i.Issuer))}
		j.issuers[i.Issuer] = t
		j.order = append(j.order, t)
	}
	return j
}

// Run fetches the issuers' keys, and keeps them fresh until the context ends.
func (j *JWT) Run(ctx context.Context) error {
	defer j.client.CloseIdleConnections()
	var group errgroup.Group
	for _, t := range j.order {
		group.Go(func() error {
			t.keys.run(ctx)
			return nil
		})
	}
	return group.Wait()
}

// A jwt is a token taken apart, with nothing of it believed yet.
type jwt struct {
	token, alg, kid, typ string
	claims               map[string]any
}

// foreign are the headers that would have a token choose its own key, or need an
// extension that is not known here.
var foreign = []string{"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"}

func parse(token string) (*jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, bad("not a signed token")
	}
	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims, nil} {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err == nil && into != nil {
			*into, err = object(text)
		}
		if err != nil || strings.ContainsAny(parts[i], "\r\n") { // which the decoder passes over
			return nil, bad("the token is malformed")
		}
	}
	for _, name := range foreign {
		if _, ok := header[name]; ok {
			return nil, bad("the token's header is not acceptable")
		}
	}
	j := &jwt{token: token, claims: claims}
	for name, into := range map[string]*string{"alg": &j.alg, "kid": &j.kid, "typ": &j.typ} {
		value, present := header[name]
		var ok bool
		if *into, ok = value.(string); present && !ok {
			return nil, bad("the token's header is not acceptable")
		}
	}
	return j, nil
}

// verify returns the caller that a token proves.
func (j *JWT) verify(ctx context.Context, token string, r *Request) (*Caller, error) {
	t, err := parse(token)
	if err != nil {
		return nil, err
	}
	name, _ := t.claims["iss"].(string)
	issuer, ok := j.issuers[name]
	switch {
	case !ok:
		return nil, bad("the token is of an unknown issuer")
	case !slices.Contains(issuer.Algorithms, t.alg):
		return nil, bad("the token's algorithm is not allowed")
	case !issuer.takes(t):
		return nil, bad("not an access token")
	}
	if err := issuer.keys.verify(ctx, t); err != nil {
		return nil, err
	}
	if _, ok := t.claims["exp"]; !ok {
		return nil, bad("the token never expires")
	}
	return issuer.caller(AuthJWT, t.claims, r)
}

// takes reports whether the token is of a kind that the issuer's tokens may be.
func (i *Issuer) takes(t *jwt) bool {
	switch strings.TrimPrefix(strings.ToLower(t.typ), "application/") {
	case "at+jwt":
		return true
	case "", "jwt":
		return i.Tokens == AnyTokens || i.Tokens == AccessTokens && !isIDToken(t.claims)
	}
	return false // a token for another purpose, such as a logout
}

// isIDToken reports whether only an ID token has such claims.
func isIDToken(claims map[string]any) bool {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		if _, ok := claims[name]; ok {
			return true
		}
	}
	return claims["typ"] == "ID" // as Keycloak has it
}

// signedBy reports whether the key made the token's signature.
func (t *jwt) signedBy(k key) bool {
	alg, ok := jwa.LookupSignatureAlgorithm(t.alg)
	if !ok {
		return false
	}
	_, err := jws.VerifyCompactFast(k.public, []byte(t.token), alg)
	return err == nil
}
