package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// A key is a public key of an issuer's, with what it says about itself.
type key struct {
	id, alg string // alg may be empty
	public  any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// parseKeys returns the keys of a JWK Set that verify signatures. Symmetric and
// private keys are none: whoever sees them could sign. Nor are weak ones: the
// library wants 2048 bits of an RSA key.
func parseKeys(text []byte) ([]key, error) {
	set, err := jwk.Parse(text, jwk.WithIgnoreParseError(true)) // of a key of a kind to come
	if err != nil {
		return nil, errors.New("the key set is malformed")
	}
	var keys []key
	for i := range set.Len() {
		k, _ := set.Key(i)
		use, _ := k.KeyUsage()
		ops, limited := k.KeyOps()
		if use != "" && use != "sig" || limited && !slices.Contains(ops, jwk.KeyOpVerify) {
			continue
		}
		var public any
		if jwk.Export(k, &public) != nil || !isPublic(public) {
			continue
		}
		id, _ := k.KeyID()
		alg := ""
		if a, ok := k.Algorithm(); ok {
			alg = a.String()
		}
		keys = append(keys, key{id: id, alg: alg, public: public})
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key to verify signatures with")
	}
	return keys, nil
}

// isPublic reports whether it is a key of a kind that signatures are verified with.
func isPublic(k any) bool {
	switch k.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// fits reports whether the key is of the kind that the algorithm needs.
func (k key) fits(alg string) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return k.allows(alg) && (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS"))
	case *ecdsa.PublicKey:
		return k.allows(alg) && alg == map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[public.Params().Name]
	case ed25519.PublicKey: // RFC 8037's name, or RFC 9864's for the same with this curve
		return alg == "EdDSA" || alg == "Ed25519"
	}
	return false
}

// allows reports whether the key is for the algorithm by what it says itself.
func (k key) allows(alg string) bool { return k.alg == "" || k.alg == alg }

// When keys are fetched: regularly; soon after that failed; and when a token
// names a key that is not known, but not more often than every refreshGap. So
// made-up names cost an issuer little, and a new key is known before its first
// token is refused.
const (
	refreshTime = 5 * time.Minute
	refreshGap  = time.Second
	retryTime   = 30 * time.Second // at most
	patience    = 5 * time.Second  // of a request for keys
)

// A keySet is the keys of one issuer. The newest set that could be fetched
// counts, however old.
type keySet struct {
	fetch func(context.Context) ([]key, error)
	log   *slog.Logger
	asked chan struct{} // has room for one

	mu   sync.Mutex
	keys []key
	at   time.Time     // when they were fetched
	err  error         // of the last fetch
	next chan struct{} // closed when the next fetch that has not begun yet is over
}

func newKeySet(fetch func(context.Context) ([]key, error), log *slog.Logger) *keySet {
	return &keySet{fetch: fetch, log: log, asked: make(chan struct{}, 1), next: make(chan struct{})}
}

// verify checks the signature of a token. Where no key that is known made it,
// and none of that name is known, it waits for keys fetched after it asked.
func (s *keySet) verify(ctx context.Context, t *jwt) error {
	known, next, err := s.check(t)
	if err == nil || known {
		return err
	}
	if next == nil {
		return ErrUnavailable
	}
	select {
	case s.asked <- struct{}{}:
	default: // somebody has asked already
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-next:
	case <-late.C:
		return ErrUnavailable
	case <-ctx.Done():
		return ErrUnavailable
	}
	known, next, err = s.check(t)
	if err != nil && !known && next == nil {
		return ErrUnavailable
	}
	return err
}

// check checks the signature with what is known now. It reports whether the key
// that the token names is known, and what to wait for if not: nil while the
// issuer is out of reach.
func (s *keySet) check(t *jwt) (known bool, next <-chan struct{}, err error) {
	s.mu.Lock()
	keys := s.keys
	if s.err == nil {
		next = s.next
	}
	s.mu.Unlock()
	for _, k := range keys {
		if t.kid != "" && k.id != t.kid {
			continue
		}
		known = t.kid != ""
		if k.fits(t.alg) && t.signedBy(k) {
			return true, next, nil
		}
	}
	return known, next, bad("the token is not signed by its issuer")
}

// run fetches keys until the context ends.
func (s *keySet) run(ctx context.Context) {
	retry := time.Second
	for {
		gap := time.After(refreshGap)
		wait, asked := refreshTime, s.asked
		switch err := s.refresh(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait, asked = retry, nil // whoever asks is told so at once
			retry = min(2*retry, retryTime)
		default:
			retry = time.Second
		}
		select {
		case <-asked:
			select {
			case <-gap:
			case <-ctx.Done():
				return
			}
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func (s *keySet) refresh(ctx context.Context) error {
	select {
	case <-s.asked: // this is what was asked for
	default:
	}
	s.mu.Lock()
	done := s.next
	s.next = make(chan struct{})
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	keys, err := s.fetch(ctx)
	cancel()

	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(done)
	before := s.err
	if s.err = err; err == nil {
		s.keys, s.at = keys, time.Now()
	}
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		s.log.Error("no new keys of the issuer", "error", err, "known_keys", len(s.keys))
	case err == nil && before != nil:
		s.log.Info("keys of the issuer", "known_keys", len(s.keys))
	}
	return err
}

// A KeyStatus tells of the keys of one issuer.
type KeyStatus struct {
	Issuer  string
	Keys    int
	Fetched time.Time // zero: never
	Err     error     // of the last fetch
}

// Status tells of all issuers.
func (j *JWT) Status() []KeyStatus {
	all := make([]KeyStatus, len(j.order))
	for i, t := range j.order {
		t.keys.mu.Lock()
		all[i] = KeyStatus{Issuer: t.Mapping.Issuer, Keys: len(t.keys.keys), Fetched: t.keys.at, Err: t.keys.err}
		t.keys.mu.Unlock()
	}
	return all
}
