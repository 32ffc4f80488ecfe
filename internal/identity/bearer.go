package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync/atomic"
)

// An APIKey is a key known by its digest.
type APIKey struct {
	Caller Caller
	SHA256 [sha256.Size]byte
}

// APIKeys are the known keys. Many goroutines may use them at once.
type APIKeys struct {
	bySum atomic.Pointer[map[[sha256.Size]byte]*Caller]
}

// Set replaces all keys.
func (k *APIKeys) Set(keys []APIKey) {
	bySum := make(map[[sha256.Size]byte]*Caller, len(keys))
	for _, k := range keys {
		k.Caller.Auth = AuthAPIKey
		bySum[k.SHA256] = &k.Caller
	}
	k.bySum.Store(&bySum)
}

// find returns nil for a key that is not known. Looking up a digest tells
// nothing of the key by the time it takes.
func (k *APIKeys) find(key string) *Caller {
	if k == nil || k.bySum.Load() == nil {
		return nil
	}
	return (*k.bySum.Load())[sha256.Sum256([]byte(key))]
}

// Bearer proves callers by what only they have: an API key, in X-Api-Key or as
// a bearer token, or an access token. A field that is nil proves nobody.
type Bearer struct {
	Keys          *APIKeys
	JWT           *JWT
	Introspection *Introspection
}

// Identify implements Method. A bearer token is a known key, or else a JWT if
// it looks like one, or else it is introspected.
func (b *Bearer) Identify(ctx context.Context, r *Request) (*Caller, error) {
	bearer, key := r.Header.Values("Authorization"), r.Header.Values("X-Api-Key")
	switch {
	case len(bearer)+len(key) == 0:
		return nil, nil
	case len(bearer)+len(key) > 1:
		return nil, bad("more than one credential")
	case len(key) == 1:
		if caller := b.Keys.find(key[0]); caller != nil {
			return caller, nil
		}
		return nil, bad("unknown key")
	}
	scheme, token, _ := strings.Cut(bearer[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, bad("not a bearer token")
	}
	token = strings.TrimSpace(token)
	switch caller := b.Keys.find(token); {
	case caller != nil:
		return caller, nil
	case len(token) > maxToken:
		return nil, bad("the token is too long")
	}
	caller, err := b.verify(ctx, token, r)
	if caller != nil {
		caller.Token = Token(token)
	}
	return caller, err
}

// verify returns a caller of this request alone.
func (b *Bearer) verify(ctx context.Context, token string, r *Request) (*Caller, error) {
	switch {
	case b.JWT != nil && looksLikeJWT(token):
		return b.JWT.verify(ctx, token, r)
	case b.Introspection != nil && token != "":
		return b.Introspection.verify(ctx, token, r)
	}
	return nil, bad("unknown token")
}

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 16 << 10

// looksLikeJWT reports whether a token is a signed JWT, well-formed or not: it
// has three parts, and the first is the beginning of a JSON object. An encrypted
// one, of five parts, is only for its issuer to read.
func looksLikeJWT(token string) bool {
	head, _, _ := strings.Cut(token, ".")
	text, _ := base64.RawURLEncoding.DecodeString(head) // as much of it as there is
	return strings.Count(token, ".") == 2 && len(text) > 0 && text[0] == '{'
}
