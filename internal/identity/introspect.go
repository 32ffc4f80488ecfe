package identity

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Introspection proves callers by tokens that only their issuer can read (RFC
// 7662). Its exported fields are set before first use.
type Introspection struct {
	Mapping
	URL          string
	ClientID     string
	ClientSecret string
	Keep         time.Duration // that an answer counts; zero: it is asked each time
	Log          *slog.Logger

	once   sync.Once
	client *http.Client
	calls  chan struct{} // has room for maxCalls
	flight singleflight.Group

	mu   sync.Mutex
	kept map[[sha256.Size]byte]answer // by digest of the token
}

// An answer is what the issuer said of a token; nil claims: it is not active.
type answer struct {
	claims map[string]any
	until  time.Time
}

const (
	maxCalls = 64      // to an issuer at a time
	maxKept  = 1 << 14 // answers
)

func (i *Introspection) verify(ctx context.Context, token string, r *Request) (*Caller, error) {
	i.once.Do(func() {
		i.client, i.calls, i.kept = newClient(), make(chan struct{}, maxCalls), map[[sha256.Size]byte]answer{}
	})
	sum := sha256.Sum256([]byte(token))
	a, ok := i.recall(sum)
	if !ok {
		// Whoever asks first may leave before the others have their answer.
		result := i.flight.DoChan(string(sum[:]), func() (any, error) { return i.ask(context.WithoutCancel(ctx), token, sum) })
		select {
		case <-ctx.Done():
			return nil, ErrUnavailable
		case done := <-result:
			if done.Err != nil {
				i.Log.Error("a token could not be introspected", "error", done.Err)
				return nil, ErrUnavailable
			}
			a = done.Val.(answer)
		}
	}
	if a.claims == nil {
		return nil, bad("the token is not active")
	}
	if err := i.checkAnswer(a.claims); err != nil {
		return nil, err
	}
	return i.caller(AuthIntrospection, a.claims, r)
}

// checkAnswer checks what only an introspected token has.
func (i *Introspection) checkAnswer(claims map[string]any) error {
	if issuer, ok := claims["iss"]; ok && issuer != i.Issuer {
		return bad("the token is of an unknown issuer")
	}
	if kind, ok := claims["token_type"].(string); ok && !strings.EqualFold(kind, "Bearer") && !strings.EqualFold(kind, "access_token") {
		return bad("not a bearer token")
	}
	if use, ok := claims["token_use"]; ok && use != "access_token" {
		return bad("not an access token") // as Hydra tells of refresh tokens
	}
	return nil
}

func (i *Introspection) recall(sum [sha256.Size]byte) (answer, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	a, ok := i.kept[sum]
	return a, ok && time.Now().Before(a.until)
}

func (i *Introspection) keep(sum [sha256.Size]byte, a answer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.kept) >= maxKept {
		clear(i.kept)
	}
	if i.Keep > 0 {
		i.kept[sum] = a
	}
}

// ask asks the issuer about a token.
func (i *Introspection) ask(ctx context.Context, token string, sum [sha256.Size]byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case i.calls <- struct{}{}:
		defer func() { <-i.calls }()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(i.ClientSecret))
	a := answer{until: time.Now().Add(i.Keep)}
	text, err := ask(i.client, r)
	if err != nil {
		return answer{}, err
	}
	claims, err := object(text)
	if err != nil {
		return answer{}, err
	}
	if claims["active"] == true {
		a.claims = claims
	}
	i.keep(sum, a)
	return a, nil
}
