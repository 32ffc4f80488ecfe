package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// An issuer is an authorization server. It remembers the forms it was sent.
type issuer struct {
	*httptest.Server

	mu     sync.Mutex
	answer func(w http.ResponseWriter, form url.Values) // nil: a token that names its number and subject
	forms  []url.Values                                 // with the client's id and secret by header as "basic"
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if id, secret, ok := r.BasicAuth(); ok {
			r.PostForm.Set("basic", id+":"+secret)
		}
		i.mu.Lock()
		i.forms = append(i.forms, r.PostForm)
		n, answer := len(i.forms), i.answer
		i.mu.Unlock()
		if answer != nil {
			answer(w, r.PostForm)
			return
		}
		grant(w, fmt.Sprintf("token-%d-%s", n, r.PostForm.Get("subject_token")), "3600")
	}))
	t.Cleanup(i.Close)
	return i
}

// answers says how it answers from now on.
func (i *issuer) answers(how func(http.ResponseWriter, url.Values)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = how
}

func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.forms)
}

func grant(w http.ResponseWriter, token, life string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":%s,"issued_token_type":%q}`, token, life, accessToken)
}

// tokens are those of a client of the issuer's, with a secret that must show nowhere.
func (i *issuer) tokens(t *testing.T) *Tokens {
	t.Helper()
	return &Tokens{TokenURL: i.URL + "/token?canary=1", ClientID: "gate:house", ClientSecret: "canary&", Client: client(t, time.Minute)}
}

// A guarded server answers 401 to tokens that it does not take, and remembers all.
type guarded struct {
	mu   sync.Mutex
	seen []string
	bad  map[string]bool
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	token := r.Header.Get("Authorization")
	g.seen = append(g.seen, token)
	if g.bad[token] || g.bad["*"] {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, pong)
}

func guardedBy(t *testing.T, tokens *Tokens) (*HTTP, *guarded) {
	t.Helper()
	g := &guarded{bad: map[string]bool{}}
	u := server(t, g.ServeHTTP)
	u.Tokens = tokens
	return u, g
}

func ask(u *HTTP, principal, token string) (*mcp.Answer, *mcp.Error) {
	return u.Send(context.Background(), &mcp.Outgoing{
		Verb: http.MethodPost, Header: http.Header{"Authorization": {"Bearer of-the-client"}}, Text: ping, Principal: principal, Token: token,
	})
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	as := newIssuer(t)
	tokens := as.tokens(t)
	tokens.Scopes, tokens.Audience, tokens.Resource = []string{"a", "b"}, "weather", "https://weather.example/mcp"
	u, g := guardedBy(t, tokens)
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if a, bad := ask(u, fmt.Sprint(n), fmt.Sprint("subject", n)); bad != nil || a.Text != pong {
				t.Error(a, bad)
			}
		})
	}
	wg.Wait()
	if as.asked() != 1 || len(g.seen) != 20 {
		t.Fatalf("asked %d times for %d requests", as.asked(), len(g.seen))
	}
	for _, seen := range g.seen {
		if seen != "Bearer token-1-" {
			t.Errorf("server got %q", seen)
		}
	}
	want := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"a b"}, "audience": {"weather"}, "resource": {"https://weather.example/mcp"},
		"basic": {url.QueryEscape("gate:house") + ":" + url.QueryEscape("canary&")},
	}
	if got := as.forms[0]; got.Encode() != want.Encode() {
		t.Errorf("asked with %v, want %v", got, want)
	}
}

func TestTokenExchange(t *testing.T) {
	t.Parallel()
	as := newIssuer(t)
	tokens := as.tokens(t)
	tokens.Exchange, tokens.Audience = true, "mail"
	u, g := guardedBy(t, tokens)
	for _, who := range [][2]string{{"alice", "A"}, {"bob", "B"}, {"alice", "A"}, {"alice", "A2"}, {"bob", "A"}, {"bob", "B"}} {
		if a, bad := ask(u, who[0], who[1]); bad != nil || a.Status != http.StatusOK {
			t.Errorf("%v: %v, %v", who, a, bad)
		}
	}
	want := "[Bearer token-1-A Bearer token-2-B Bearer token-1-A Bearer token-3-A2 Bearer token-4-A Bearer token-2-B]"
	if got := fmt.Sprint(g.seen); got != want {
		t.Errorf("server got %s, want %s", got, want)
	}
	form := as.forms[0]
	form.Del("basic")
	if got := form.Encode(); got != (url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"A"}, "subject_token_type": {accessToken},
		"requested_token_type": {accessToken}, "audience": {"mail"},
	}).Encode() {
		t.Errorf("asked with %s", got)
	}
	_, bad := ask(u, "carol", "")
	if bad == nil || bad.Status != http.StatusForbidden || as.asked() != 4 || len(g.seen) != 6 {
		t.Errorf("without a token: %v, asked %d times, %d requests", bad, as.asked(), len(g.seen))
	}
}

// Some authorization servers take a client's secret in the body alone. That is
// found out once.
func TestClientSecretInTheBody(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized} {
		as := newIssuer(t)
		as.answers(func(w http.ResponseWriter, form url.Values) {
			if form.Get("client_secret") != "canary&" || form.Get("client_id") != "gate:house" || form.Has("basic") {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
				return
			}
			grant(w, "t", "3600")
		})
		tokens := as.tokens(t)
		tokens.Exchange = true
		u, _ := guardedBy(t, tokens)
		for n, want := range []int{2, 3, 4} {
			if _, bad := ask(u, "alice", fmt.Sprint(n)); bad != nil || as.asked() != want {
				t.Errorf("%v, asked %d times, want %d", bad, as.asked(), want)
			}
		}
	}
}

func TestBadAnswersToTokenRequests(t *testing.T) {
	t.Parallel()
	elsewhere := newIssuer(t)
	answer := func(status int, contentType, body string) func(http.ResponseWriter, url.Values) {
		return func(w http.ResponseWriter, _ url.Values) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const j = "application/json"
	fields := func(changes ...string) string {
		all := map[string]string{"access_token": `"canary"`, "token_type": `"Bearer"`, "expires_in": "60", "issued_token_type": `"` + accessToken + `"`}
		for n := 0; n < len(changes); n += 2 {
			all[changes[n]] = changes[n+1]
		}
		var text []string
		for name, value := range all {
			if value != "" {
				text = append(text, `"`+name+`":`+value)
			}
		}
		return "{" + strings.Join(text, ",") + "}"
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, url.Values)
		cause  string
	}{
		"redirect":             {answer(302, j, ""), "it answered 302"},
		"redirect of the form": {answer(307, j, ""), "it answered 307"},
		"permanent redirect":   {answer(308, j, fields()), "it answered 308"},
		"invalid grant":        {answer(400, j, `{"error":"invalid_grant","error_description":"canary"}`), "it answered 400, invalid_grant"},
		"odd error":            {answer(400, j, `{"error":"canary canary"}`), "it answered 400"},
		"error with 200":       {answer(200, j, `{"error":"invalid_target","access_token":"canary"}`), "it answered 200, invalid_target"},
		"server error":         {answer(500, "text/html", "canary"), "it answered 500"},
		"HTML":                 {answer(200, "text/html", "<p>canary"), ""},
		"an array":             {answer(200, j, `["canary"]`), ""},
		"nothing":              {answer(200, j, ""), ""},
		"no token":             {answer(200, j, fields("access_token", "")), ""},
		"empty token":          {answer(200, j, fields("access_token", `""`)), ""},
		"token of a number":    {answer(200, j, fields("access_token", "1")), ""},
		"huge":                 {answer(200, j, fields("pad", `"`+strings.Repeat("x", 2<<20)+`"`)), ""},
		"huge token":           {answer(200, j, fields("access_token", `"`+strings.Repeat("x", maxToken+1)+`"`)), errNoBearer.Error()},
		"two headers":          {answer(200, j, fields("access_token", `"canary\r\nX-Evil: 1"`)), errNoBearer.Error()},
		"spaces":               {answer(200, j, fields("access_token", `"canary canary"`)), errNoBearer.Error()},
		"no ASCII":             {answer(200, j, fields("access_token", `"canäry"`)), errNoBearer.Error()},
		"other type":           {answer(200, j, fields("token_type", `"DPoP"`)), errNoBearer.Error()},
		"no type":              {answer(200, j, fields("token_type", "")), errNoBearer.Error()},
		"no access token":      {answer(200, j, fields("token_type", `"N_A"`)), errNoBearer.Error()},
		"a refresh token":      {answer(200, j, fields("issued_token_type", `"urn:ietf:params:oauth:token-type:refresh_token"`)), errNoBearer.Error()},
		"who knows what":       {answer(200, j, fields("issued_token_type", "")), errNoBearer.Error()},
		"expired":              {answer(200, j, fields("expires_in", "-1")), errNoBearer.Error()},
		"expires never":        {answer(200, j, fields("expires_in", `"never"`)), ""},
		"broken off": {func(http.ResponseWriter, url.Values) {
			panic(http.ErrAbortHandler)
		}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			as := newIssuer(t)
			as.answers(c.answer)
			tokens := as.tokens(t)
			tokens.Exchange = true
			u, g := guardedBy(t, tokens)
			_, bad := ask(u, "alice", "canary")
			if bad == nil || bad.Status != http.StatusBadGateway || !strings.Contains(bad.Cause, "the authorization server: ") ||
				!strings.Contains(bad.Cause, c.cause) {
				t.Fatalf("%+v, want %q", bad, c.cause)
			}
			if strings.Contains(bad.Error()+bad.Body("1"), "canary") {
				t.Errorf("the error shows a secret: %+v", bad)
			}
			if len(g.seen) > 0 || elsewhere.asked() > 0 {
				t.Errorf("%d messages sent, %d redirects followed", len(g.seen), elsewhere.asked())
			}
			as.answers(nil) // a failure is not kept
			if _, bad := ask(u, "alice", "canary"); bad != nil {
				t.Errorf("afterwards: %v", bad)
			}
		})
	}
}

func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	as := newIssuer(t)
	u, g := guardedBy(t, as.tokens(t))
	as.Close()
	_, bad := ask(u, "alice", "")
	if bad == nil || bad.Status != http.StatusBadGateway || !strings.Contains(bad.Cause, "refused") || strings.Contains(bad.Cause, "canary") || len(g.seen) > 0 {
		t.Errorf("%+v", bad)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestIssuerIsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tokens := &Tokens{TokenURL: "https://idp.example/", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}}
		began := time.Now()
		_, bad := tokens.get(t.Context(), &mcp.Outgoing{})
		if bad == nil || bad.Status != http.StatusGatewayTimeout || time.Since(began) != tokenTime {
			t.Errorf("%v after %v", bad, time.Since(began))
		}
	})
}

// A caller that leaves does not take the token from those who wait for it too.
func TestLeavingWhileATokenIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		asked := 0
		tokens := &Tokens{TokenURL: "https://idp.example/", Client: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			asked++
			<-release
			w := httptest.NewRecorder()
			grant(w, "t", "3600")
			return w.Result(), nil
		})}}
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, bad := tokens.get(ctx, &mcp.Outgoing{}); bad == nil {
				t.Error("the one who left got a token")
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if got, bad := tokens.get(t.Context(), &mcp.Outgoing{}); bad != nil || got.value != "t" {
				t.Errorf("the one who stayed: %v", bad)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(release)
		wg.Wait()
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// How long tokens are kept, by what is said of their life.
func TestTokensExpire(t *testing.T) {
	t.Parallel()
	for life, want := range map[string]time.Duration{
		"3600": 3600*time.Second - early, "100": 80 * time.Second, "1": 800 * time.Millisecond, "0": keepTime, "null": keepTime,
		`"60"`: 48 * time.Second, "1e2": 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			tokens := &Tokens{TokenURL: "https://idp.example/", Client: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				asked++
				w := httptest.NewRecorder()
				grant(w, fmt.Sprint(asked), life)
				return w.Result(), nil
			})}}
			get := func() string {
				got, bad := tokens.get(t.Context(), &mcp.Outgoing{})
				if bad != nil {
					return "none"
				}
				return got.value
			}
			if want == 0 {
				if got := get(); got != "none" {
					t.Errorf("%s: %s", life, got)
				}
				return
			}
			get()
			time.Sleep(want - 1) //nolint:forbidigo // a synctest bubble
			if got := get(); got != "1" {
				t.Errorf("%s: replaced early: %s", life, got)
			}
			time.Sleep(time.Nanosecond) //nolint:forbidigo // a synctest bubble
			if got := get(); got != "2" {
				t.Errorf("%s: kept too long: %s", life, got)
			}
		})
	}
}

func TestServerRefusesToken(t *testing.T) {
	t.Parallel()
	as := newIssuer(t)
	tokens := as.tokens(t)
	u, g := guardedBy(t, tokens)
	status := func() int {
		a, bad := ask(u, "alice", "")
		if bad != nil {
			t.Fatal(bad)
		}
		return a.Status
	}
	older := func() {
		for _, kept := range tokens.kept {
			kept.got = kept.got.Add(-renewTime)
		}
	}
	g.bad["Bearer token-1-"] = true
	if got := status(); got != 401 || as.asked() != 1 || len(g.seen) != 1 {
		t.Errorf("a fresh token: %d, asked %d times, %d requests", got, as.asked(), len(g.seen))
	}
	older()
	if got := status(); got != 200 || as.asked() != 2 || len(g.seen) != 3 {
		t.Errorf("a token that was revoked: %d, asked %d times, %d requests", got, as.asked(), len(g.seen))
	}
	g.bad["*"] = true
	older()
	for range 3 {
		if got := status(); got != 401 {
			t.Errorf("a server that takes none: %d", got)
		}
	}
	if as.asked() != 3 || len(g.seen) != 3+2+1+1 {
		t.Errorf("a server that takes none: asked %d times, %d requests", as.asked(), len(g.seen))
	}
}

// What is kept has a bound, and what is of no use goes first.
func TestTokensAreBounded(t *testing.T) {
	t.Parallel()
	tokens, now := &Tokens{}, time.Now()
	key := func(n int) tokenKey { return (&Tokens{Exchange: true}).key(&mcp.Outgoing{Token: fmt.Sprint(n)}) }
	for n := range maxTokens + 100 {
		tokens.keep(key(n), &token{until: now.Add(time.Hour)})
	}
	if len(tokens.kept) != maxTokens || tokens.find(key(maxTokens+99)) == nil {
		t.Errorf("%d are kept", len(tokens.kept))
	}
	for _, kept := range tokens.kept {
		kept.until = now
	}
	fresh := key(-1)
	tokens.keep(fresh, &token{until: now.Add(time.Hour)})
	for n := range maxTokens / 2 {
		tokens.keep(key(-2-n), &token{until: now})
	}
	if len(tokens.kept) != maxTokens || tokens.find(fresh) == nil || tokens.find(key(-2)) != nil {
		t.Errorf("%d are kept", len(tokens.kept))
	}
}
