package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Rotation without warning: from one moment on, tokens are signed with a key that
// was never seen, and the old one is gone. No good token is refused meanwhile,
// though others make up names of keys all the time.
func TestRotationUnderLoad(t *testing.T) {
	const turns, callers = 3, 8
	p := startIDP(t, keyDoc(t, "k0", ecKey.Public(), nil))
	b := &Bearer{JWT: method(t, issuer(p, nil))}
	var current atomic.Pointer[string]
	token := sign(t, `{"alg":"ES256","kid":"k0"}`, payload(t, p, nil), ecKey)
	current.Store(&token)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	var taken, made atomic.Int64
	for range callers {
		group.Go(func() {
			for ctx.Err() == nil {
				token := *current.Load()
				_, err := b.Identify(ctx, request(token))
				if err == nil {
					taken.Add(1)
				} else if ctx.Err() == nil && token == *current.Load() { // not one of the key that has just gone
					t.Errorf("a good token is refused: %v", err)
					return
				}
			}
		})
	}
	group.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			forged := sign(t, fmt.Sprintf(`{"alg":"ES256","kid":"made-up-%d"}`, n), payload(t, p, nil), wide)
			if _, err := b.Identify(ctx, request(forged)); err == nil {
				t.Error("a made-up key is taken")
			}
			made.Add(1)
		}
	})
	for n := 1; n <= turns; n++ {
		next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		kid := fmt.Sprintf("k%d", n)
		keys := []map[string]any{keyDoc(t, kid, next.Public(), nil)}
		signed := sign(t, `{"alg":"ES256","kid":"`+kid+`"}`, payload(t, p, nil), next)
		p.keys.Store(&keys)
		current.Store(&signed)
		if _, err := b.Identify(ctx, request(signed)); err != nil {
			t.Errorf("turn %d: %v", n, err)
		}
	}
	old := sign(t, `{"alg":"ES256","kid":"k0"}`, payload(t, p, nil), ecKey)
	if _, err := b.Identify(ctx, request(old)); !errors.Is(err, ErrBadCredentials) {
		t.Errorf("the old key is still good: %v", err)
	}
	stop()
	group.Wait()
	if taken.Load() < turns || made.Load() == 0 {
		t.Errorf("%d tokens taken, %d made up", taken.Load(), made.Load())
	}
}

// a token of a key by that name, as far as a keySet goes.
func named(kid string) *jwt { return &jwt{alg: "ES256", kid: kid, token: "x"} }

// Names that are made up cost an issuer one request a second, however many they are.
func TestMadeUpNamesCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int64
		s := newKeySet(func(context.Context) ([]key, error) {
			fetches.Add(1)
			return []key{{id: "k", public: ecKey.Public()}}, nil
		}, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		go s.run(ctx)
		var group sync.WaitGroup
		begin := time.Now()
		for i := range 500 {
			group.Go(func() {
				for n := range 10 {
					if err := s.verify(ctx, named(fmt.Sprint(i, n))); !errors.Is(err, ErrBadCredentials) {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if took := time.Since(begin); fetches.Load() > int64(took/refreshGap)+2 {
			t.Errorf("%d fetches in %v", fetches.Load(), took)
		}
		stop()
		synctest.Wait()
	})
}

// While an issuer is out of reach, what is known stays good, what is not is
// refused at once, and it is told once.
func TestIssuerOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var fetches atomic.Int64
		var log bytes.Buffer
		down.Store(true)
		keys := []key{{id: "k", public: ecKey.Public()}}
		s := newKeySet(func(context.Context) ([]key, error) {
			fetches.Add(1)
			if down.Load() {
				return nil, errors.New("no route")
			}
			return keys, nil
		}, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, stop := context.WithCancel(t.Context())
		go s.run(ctx)
		synctest.Wait()
		good := &jwt{alg: "ES256", kid: "k"}
		good.token = sign(t, `{"alg":"ES256","kid":"k"}`, "{}", ecKey)
		verify := func(want error) {
			t.Helper()
			begin := time.Now()
			if err := s.verify(ctx, good); !errors.Is(err, want) || time.Since(begin) > 0 {
				t.Errorf("after %v: %v, want %v", time.Since(begin), err, want)
			}
		}
		verify(ErrUnavailable)       // at the start
		time.Sleep(10 * time.Minute) //nolint:forbidigo // in a bubble
		if n := fetches.Load(); n < 20 || n > 30 {
			t.Errorf("%d fetches in ten minutes without an answer", n)
		}
		down.Store(false)
		time.Sleep(retryTime) //nolint:forbidigo // in a bubble
		verify(nil)
		down.Store(true)
		time.Sleep(24 * time.Hour) //nolint:forbidigo // in a bubble
		verify(nil)
		if err := s.verify(ctx, named("other")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("an unknown key: %v", err)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 2 || strings.Count(log.String(), "level=INFO") != 1 {
			t.Errorf("log:\n%s", log.String())
		}
		stop()
		synctest.Wait()
	})
}

// A key that the issuer has withdrawn is no good any more once that is known.
func TestWithdrawnKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys atomic.Pointer[[]key]
		keys.Store(&[]key{{id: "k", public: ecKey.Public()}})
		s := newKeySet(func(context.Context) ([]key, error) { return *keys.Load(), nil }, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		go s.run(ctx)
		token := &jwt{alg: "ES256", kid: "k", token: sign(t, `{"alg":"ES256","kid":"k"}`, "{}", ecKey)}
		if err := s.verify(ctx, token); err != nil {
			t.Error(err)
		}
		keys.Store(&[]key{{id: "l", public: wide.Public()}})
		time.Sleep(refreshTime + time.Second) //nolint:forbidigo // in a bubble
		if err := s.verify(ctx, token); !errors.Is(err, ErrBadCredentials) {
			t.Error(err)
		}
		stop()
		synctest.Wait()
	})
}

// What an issuer may answer, and what becomes of it.
func TestDiscovery(t *testing.T) {
	good := map[string]any{"keys": []any{keyDoc(t, "ec", ecKey.Public(), nil)}}
	for _, tc := range []struct {
		name   string
		path   string // of the issuer
		routes map[string]any
		want   string // of the error
	}{
		{"RFC 8414", "", map[string]any{"/.well-known/oauth-authorization-server": "SELF", "/keys": good}, ""},
		{"OpenID Connect", "", map[string]any{"/.well-known/openid-configuration": "SELF", "/keys": good}, ""},
		{"RFC 8414 with a path", "/realm/x", map[string]any{"/.well-known/oauth-authorization-server/realm/x": "SELF", "/keys": good}, ""},
		{"OpenID Connect with a path before", "/realm/x", map[string]any{"/.well-known/openid-configuration/realm/x": "SELF", "/keys": good}, ""},
		{"OpenID Connect with a path after", "/realm/x", map[string]any{"/realm/x/.well-known/openid-configuration": "SELF", "/keys": good}, ""},
		{"of another issuer", "", map[string]any{"/.well-known/openid-configuration": map[string]any{"issuer": "https://evil.example", "jwks_uri": "https://evil.example/k"}}, "of another"},
		{"no metadata", "", nil, "status 404"},
		{"ambiguous", "", map[string]any{"/.well-known/openid-configuration": json.RawMessage(`{"issuer":"a","issuer":"b"}`)}, "unambiguous"},
		{"keys by http from elsewhere", "", map[string]any{"/.well-known/openid-configuration": map[string]any{"issuer": "SELF", "jwks_uri": "http://192.0.2.1/k"}}, "not an https URL"},
		{"redirected", "", map[string]any{"/.well-known/openid-configuration": "SELF", "/keys": http.StatusFound}, "status 302"},
		{"no keys", "", map[string]any{"/.well-known/openid-configuration": "SELF", "/keys": map[string]any{"keys": []any{}}}, "no key to verify"},
		{"symmetric keys", "", map[string]any{"/.well-known/openid-configuration": "SELF", "/keys": map[string]any{"keys": []any{keyDoc(t, "s", sharedSecret, nil)}}}, "no key to verify"},
		{"no key set", "", map[string]any{"/.well-known/openid-configuration": "SELF", "/keys": json.RawMessage(`<html>`)}, "key set"},
		{"endless", "", map[string]any{"/.well-known/openid-configuration": "SELF", "/keys": json.RawMessage(`"` + strings.Repeat("x", maxDocument) + `"`)}, "too long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var self string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch body := tc.routes[r.URL.Path].(type) {
				case nil:
					w.WriteHeader(http.StatusNotFound)
				case int:
					http.Redirect(w, r, "/elsewhere", body)
				case json.RawMessage:
					_, _ = w.Write(body)
				case string:
					_ = json.NewEncoder(w).Encode(map[string]any{"issuer": self + tc.path, "jwks_uri": self + "/keys"})
				case map[string]any:
					if body["issuer"] == "SELF" {
						body["issuer"] = self
					}
					_ = json.NewEncoder(w).Encode(body)
				}
			}))
			defer s.Close()
			self = s.URL
			from := &source{client: newClient(), issuer: s.URL + tc.path}
			defer from.client.CloseIdleConnections()
			keys, err := from.fetch(t.Context())
			if tc.want == "" && (err != nil || len(keys) != 1) {
				t.Errorf("%d keys, error %v", len(keys), err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%d keys, error %v, want %s", len(keys), err, tc.want)
			}
		})
	}
}

func TestSecure(t *testing.T) {
	for url, want := range map[string]bool{
		"https://a": true, "http://localhost:1": true, "http://127.0.0.1/x": true, "http://[::1]/x": true,
		"http://a": false, "http://localhost.evil.example": false, "http://127.0.0.1.evil.example": false, "http://10.0.0.1": false,
		"https://": false, "": false, "file:///etc/passwd": false, "https://u:p@a": false, "//a": false,
	} {
		if Secure(url) != want {
			t.Errorf("%q is secure: %t", url, !want)
		}
	}
}

// What a verified token costs a request.
func BenchmarkToken(b *testing.B) {
	p := startIDP(b, keyDoc(b, "rsa", rsaKey.Public(), nil), keyDoc(b, "ec", ecKey.Public(), nil), keyDoc(b, "ed", edKey.Public(), nil))
	bearer := &Bearer{JWT: method(b, issuer(p, nil))}
	for alg, k := range map[string]struct {
		kid string
		key any
	}{"RS256": {"rsa", rsaKey}, "ES256": {"ec", ecKey}, "EdDSA": {"ed", edKey}} {
		r := request(sign(b, `{"alg":"`+alg+`","kid":"`+k.kid+`"}`, payload(b, p, nil), k.key))
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bearer.Identify(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
