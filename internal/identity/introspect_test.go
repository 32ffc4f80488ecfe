package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// introspecting starts an issuer that says of each token what answers has, and
// counts how often it is asked.
func introspecting(t *testing.T, answers map[string]string) (*Introspection, *atomic.Int64, *bytes.Buffer) {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		id, secret, _ := r.BasicAuth()
		if r.Method != http.MethodPost || id != "gate%3Ahouse" || secret != "s%26cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer := answers[r.PostFormValue("token")]
		if answer == "down" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	log := &bytes.Buffer{}
	i := &Introspection{
		Mapping: Mapping{Issuer: "https://idp.example", Audience: "gw/{server}", IDClaim: "sub", RolesClaim: "roles", Skew: 30 * time.Second},
		URL:     s.URL, ClientID: "gate:house", ClientSecret: "s&cret", Keep: time.Hour, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	t.Cleanup(func() {
		if i.client != nil {
			i.client.CloseIdleConnections()
		}
	})
	return i, &asked, log
}

func TestIntrospection(t *testing.T) {
	good := map[string]any{"active": true, "sub": "alice", "aud": []string{"gw/a"}, "roles": []string{"dev"}, "scope": "read", "exp": time.Now().Unix() + 60}
	with := func(name string, value any) string {
		members := map[string]any{}
		for k, v := range good {
			members[k] = v
		}
		if members[name] = value; value == nil {
			delete(members, name)
		}
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, tc := range []struct {
		name, answer string
		want         error
	}{
		{"good", with("", nil), nil},
		{"issuer", with("iss", "https://idp.example"), nil},
		{"bearer", with("token_type", "bearer"), nil},
		{"not active", with("active", false), ErrBadCredentials},
		{"active as text", with("active", "true"), ErrBadCredentials},
		{"no word of it", with("active", nil), ErrBadCredentials},
		{"another issuer", with("iss", "https://evil.example"), ErrBadCredentials},
		{"another audience", with("aud", "gw/b"), ErrBadCredentials},
		{"no audience", with("aud", nil), ErrBadCredentials},
		{"expired", with("exp", 1), ErrBadCredentials},
		{"nobody's", with("sub", nil), ErrBadCredentials},
		{"refresh token", with("token_use", "refresh_token"), ErrBadCredentials},
		{"another type", with("token_type", "mac"), ErrBadCredentials},
		{"bound to a key", with("cnf", map[string]string{"jkt": "x"}), ErrBadCredentials},
		{"ambiguous", `{"active":false,"active":true,"sub":"root","aud":"gw/a"}`, ErrUnavailable},
		{"no JSON", "<html>", ErrUnavailable},
		{"no object", "[]", ErrUnavailable},
		{"down", "down", ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i, asked, log := introspecting(t, map[string]string{"canary-opaque": tc.answer})
			b := &Bearer{Introspection: i}
			for range 3 {
				caller, err := b.Identify(t.Context(), request("canary-opaque"))
				if !errors.Is(err, tc.want) || (caller == nil) != (tc.want != nil) {
					t.Errorf("caller %+v, error %v, want %v", caller, err, tc.want)
				}
				if caller != nil && (caller.ID != "alice" || caller.Auth != AuthIntrospection || !caller.HasScopes([]string{"read"})) {
					t.Errorf("caller %+v", caller)
				}
				if err != nil && strings.Contains(err.Error(), "canary") {
					t.Errorf("the token is told: %v", err)
				}
			}
			if n := asked.Load(); (n == 1) == errors.Is(tc.want, ErrUnavailable) {
				t.Errorf("asked %d times", n)
			}
			if strings.Contains(log.String(), "canary") || strings.Contains(log.String(), "s&cret") || (log.Len() > 0) != errors.Is(tc.want, ErrUnavailable) {
				t.Errorf("log %q", log)
			}
		})
	}
}

// Many requests with one new token ask once, and a token of one server is none of another.
func TestIntrospectionIsShared(t *testing.T) {
	i, asked, _ := introspecting(t, map[string]string{"t": `{"active":true,"sub":"alice","aud":"gw/a"}`})
	b := &Bearer{Introspection: i}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, err := b.Identify(t.Context(), request("t")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	other := request("t")
	other.Server = "b"
	if _, err := b.Identify(t.Context(), other); !errors.Is(err, ErrBadCredentials) {
		t.Errorf("at another server: %v", err)
	}
}

// What is kept is bounded, and counts no longer than it should.
func TestIntrospectionForgets(t *testing.T) {
	i, asked, _ := introspecting(t, map[string]string{"t": `{"active":true,"sub":"alice","aud":"gw/a"}`})
	b := &Bearer{Introspection: i}
	i.Keep = 0
	for range 2 {
		if _, err := b.Identify(t.Context(), request("t")); err != nil {
			t.Error(err)
		}
	}
	if asked.Load() != 2 || len(i.kept) != 0 {
		t.Errorf("asked %d times, %d kept", asked.Load(), len(i.kept))
	}
	i.Keep = time.Nanosecond
	for n := range maxKept + 10 {
		i.keep([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}, answer{until: time.Now().Add(i.Keep)})
	}
	if len(i.kept) > maxKept {
		t.Errorf("%d kept", len(i.kept))
	}
	if _, ok := i.recall([32]byte{1}); ok {
		t.Error("what is over counts")
	}
}

// Which of a request's bearer tokens is what.
func TestWhichMethod(t *testing.T) {
	const active = `{"active":true,"sub":"alice","aud":"gw/a"}`
	encrypted := b64([]byte(`{"alg":"A256GCMKW","enc":"A256GCM"}`)) + ".AA.AA.AA.AA"
	i, asked, _ := introspecting(t, map[string]string{"opaque.to.us": active, encrypted: active})
	keys := &APIKeys{}
	keys.Set([]APIKey{{Caller: Caller{ID: "key"}, SHA256: digest("eyJ.looks.like")}})
	p := startIDP(t, keyDoc(t, "ec", ecKey.Public(), nil))
	b := &Bearer{Keys: keys, JWT: method(t, issuer(p, nil)), Introspection: i}
	good := sign(t, `{"alg":"ES256","kid":"ec"}`, payload(t, p, nil), ecKey)
	forged := sign(t, `{"alg":"ES256","kid":"ec"}`, payload(t, p, nil), wide)
	for _, tc := range []struct {
		token, auth string
		asked       int64 // so far
	}{
		{"eyJ.looks.like", AuthAPIKey, 0},
		{good, AuthJWT, 0},
		{forged, "", 0}, // and is not introspected
		{"opaque.to.us", AuthIntrospection, 1},
		{encrypted, AuthIntrospection, 2}, // for its issuer alone to read
		{"", "", 2},
	} {
		caller, err := b.Identify(t.Context(), request(tc.token))
		if tc.auth == "" {
			if !errors.Is(err, ErrBadCredentials) {
				t.Errorf("%q: %+v, %v", tc.token, caller, err)
			}
		} else if err != nil || caller.Auth != tc.auth {
			t.Errorf("%q: %+v, %v", tc.token, caller, err)
		}
		if asked.Load() != tc.asked {
			t.Errorf("%q: asked %d times", tc.token, asked.Load())
		}
	}
}
