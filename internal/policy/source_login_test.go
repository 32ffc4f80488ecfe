package policy

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/login"
)

const canary = "canary-7f3a"

// A gate is a TLS server that lets in whoever shows the right header.
type gate struct {
	*httptest.Server
	want string
	mu   sync.Mutex
	got  []string // Authorization of each request
}

func newGate(t *testing.T, want string, body []byte) *gate {
	t.Helper()
	g := &gate{want: want}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		auth := r.Header.Get("Authorization")
		g.got = append(g.got, auth)
		switch {
		case auth != g.want:
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, ".sha256"):
			_, _ = fmt.Fprintln(w, digest(body))
		default:
			_, _ = w.Write(body)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// ca is a file with the certificates of test servers.
func ca(t *testing.T, servers ...*httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	var all []byte
	for _, s := range servers {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})...)
	}
	write(t, path, all)
	return path
}

func TestCredentials(t *testing.T) {
	raw := pack(t, entries(revision("one"))...)
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, []byte(canary+"\n"))
	for name, c := range map[string]struct {
		credentials login.Credentials
		header      string
	}{
		"none":        {login.Credentials{}, ""},
		"bearer":      {login.Credentials{Bearer: canary}, "Bearer " + canary},
		"bearer file": {login.Credentials{BearerFile: file}, "Bearer " + canary},
		"basic":       {login.Credentials{Username: "u", Password: canary}, "Basic dTpjYW5hcnktN2YzYQ=="},
	} {
		t.Run(name, func(t *testing.T) {
			own, other := newGate(t, c.header, raw), newGate(t, "", raw)
			trust := ca(t, own.Server, other.Server)
			w := watchAs(t, Config{Bundle: own.URL + "/b", CA: trust, Credentials: c.credentials, SHA256: own.URL + "/b.sha256"})
			w.good("one", 1)
			w = watchAs(t, Config{Bundle: own.URL + "/b", CA: trust, Credentials: c.credentials, SHA256: other.URL + "/b.sha256"})
			w.good("one", 1)
			if len(other.got) == 0 || other.got[0] != "" {
				t.Errorf("the other host was shown %q", other.got)
			}
			own.want = "no longer"
			w.bad("401 Unauthorized", "one", 2)
			own.Config.Handler = http.RedirectHandler(other.URL+"/b", http.StatusTemporaryRedirect)
			w.bad("redirects are not followed", "one", 3)
			if len(other.got) != 3 {
				t.Errorf("a redirect was followed: %q", other.got)
			}
			if strings.Contains(w.log.String(), canary) {
				t.Errorf("log %s", w.log.String())
			}
		})
	}
}

func TestBearerFileIsReadAgain(t *testing.T) {
	raw := pack(t, entries(revision("one"))...)
	file := filepath.Join(t.TempDir(), "token")
	g := newGate(t, "Bearer new", raw)
	w := watchAs(t, Config{Bundle: g.URL, CA: ca(t, g.Server), Credentials: login.Credentials{BearerFile: file}})
	w.bad("read bearer token", "", 1)
	write(t, file, []byte("  \n"))
	w.bad("is empty", "", 2)
	write(t, file, []byte("old"))
	w.bad("401", "", 3)
	write(t, file, []byte("new"))
	w.good("one", 4)
}

func TestOAuth2(t *testing.T) {
	raw := pack(t, entries(revision("one"))...)
	own := newGate(t, "Bearer t1", raw)
	token, status := "t1", http.StatusOK
	issued := 0
	idp := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		err := r.ParseForm()
		if !basic { // the client tries both ways
			user, password = r.Form.Get("client_id"), r.Form.Get("client_secret")
		}
		if err != nil || user != "gw" || password != canary || r.Form.Get("scope") != "a b" ||
			r.Form.Get("grant_type") != "client_credentials" {
			status = http.StatusUnauthorized
		}
		issued++
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if status != http.StatusOK {
			_, _ = fmt.Fprintf(w, `{"error":%q}`, "not by "+password)
			return
		}
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":3600}`, token)
	}))
	defer idp.Close()
	w := watchAs(t, Config{Bundle: own.URL, CA: ca(t, own.Server, idp), Credentials: login.Credentials{OAuth2: &login.OAuth2{
		TokenURL: idp.URL, ClientID: "gw", ClientSecret: canary, Scopes: []string{"a", "b"},
	}}})
	status = http.StatusForbidden
	w.bad("the token endpoint answered 403 Forbidden", "", 1)
	status, issued = http.StatusOK, 0
	w.good("one", 2)
	w.good("one", 2)
	if issued != 1 {
		t.Errorf("%d tokens were issued", issued)
	}
	own.want, token = "Bearer t2", "t2" // the server no longer takes the first
	w.bad("401", "one", 3)
	w.good("one", 3)
	if strings.Contains(w.log.String(), canary) {
		t.Errorf("log %s", w.log.String())
	}
}

func TestAuthorities(t *testing.T) {
	raw := pack(t, entries(revision("one"))...)
	g := newGate(t, "", raw)
	watchAs(t, Config{Bundle: g.URL}).bad("certificate", "", 1)
	file := filepath.Join(t.TempDir(), "ca.pem")
	w := watchAs(t, Config{Bundle: g.URL, CA: file})
	w.bad("read ca", "", 1)
	write(t, file, []byte("nothing"))
	w.bad("holds no certificate", "", 2)
	trust, err := readFile(ca(t, g.Server), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, trust)
	w.good("one", 3)
}

// A longPoller holds its answer back until there is something new, as OPA's
// bundle protocol says.
type longPoller struct {
	*httptest.Server
	bundles chan []byte   // one is taken for each answer
	asked   chan string   // the Prefer header of each request
	ended   chan struct{} // a request that was broken off
}

func newLongPoller(t *testing.T) *longPoller {
	p := &longPoller{bundles: make(chan []byte, 8), asked: make(chan string, 8), ended: make(chan struct{}, 8)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked <- r.Header.Get("Prefer")
		select {
		case raw := <-p.bundles:
			w.Header().Set("Content-Type", bundleType)
			w.Header().Set("ETag", `"`+digest(raw)+`"`)
			if r.Header.Get("If-None-Match") == `"`+digest(raw)+`"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = w.Write(raw)
		case <-r.Context().Done():
			p.ended <- struct{}{}
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func TestLongPoll(t *testing.T) {
	p := newLongPoller(t)
	one, two := pack(t, entries(revision("one"))...), pack(t, entries(revision("two"))...)
	loaded := make(chan error, 8)
	w := watchAs(t, Config{Bundle: p.URL, Poll: time.Millisecond, LongPoll: time.Minute})
	w.cfg.OnLoad = func(err error) { loaded <- err }
	p.bundles <- one
	if err := w.Reload(t.Context()); err != nil || <-loaded != nil {
		t.Fatal(err)
	}
	if prefer := <-p.asked; prefer != "" {
		t.Errorf("the first request says %q", prefer)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Poll(ctx); close(done) }()
	if prefer := <-p.asked; prefer != "modes=snapshot;wait=60" {
		t.Errorf("a later request says %q", prefer)
	}
	// The new bundle is in force as soon as the server has it.
	p.bundles <- two
	if err := <-loaded; err != nil || w.Pin().Revision != "two" {
		t.Errorf("%v, revision %s", err, w.Pin().Revision)
	}
	<-p.asked
	// A reload does not wait for an answer that is held back: it breaks off that request.
	reloaded := make(chan error)
	go func() { reloaded <- w.Reload(t.Context()) }()
	<-p.ended
	if prefer := <-p.asked; prefer != "" {
		t.Errorf("a reload says %q", prefer)
	}
	p.bundles <- one
	if err := <-reloaded; err != nil || <-loaded != nil || w.Pin().Revision != "one" {
		t.Errorf("%v, revision %s", err, w.Pin().Revision)
	}
	stop()
	<-done
	if strings.Contains(w.log.String(), "ERROR") {
		t.Errorf("log %s", w.log.String())
	}
}
