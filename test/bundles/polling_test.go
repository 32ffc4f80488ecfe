package bundles

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A longPoller is a server of OPA's bundle protocol: it holds its answer back
// until there is another bundle than the client has.
type longPoller struct {
	*httptest.Server
	mu     sync.Mutex
	bundle []byte
	fresh  chan struct{} // closed when the bundle is replaced
	waited int           // requests that asked to wait
}

func newLongPoller(t testing.TB, bundle []byte) *longPoller {
	t.Helper()
	p := &longPoller{bundle: bundle, fresh: make(chan struct{})}
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

func (p *longPoller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wait := strings.Contains(r.Header.Get("Prefer"), "wait=60")
	for {
		p.mu.Lock()
		bundle, fresh := p.bundle, p.fresh
		if wait {
			p.waited++
		}
		p.mu.Unlock()
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256(bundle))
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") != tag {
			w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
			_, _ = w.Write(bundle)
			return
		}
		if !wait {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		select {
		case <-fresh:
		case <-r.Context().Done():
			return
		}
	}
}

func (p *longPoller) publish(bundle []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bundle = bundle
	close(p.fresh)
	p.fresh = make(chan struct{})
}

func (p *longPoller) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waited
}

// With long polling a new bundle is in force at once, however rare the polls.
func TestLongPolling(t *testing.T) {
	p := newLongPoller(t, policyOf(t, "1"))
	gw := start(t, p.URL, map[string]any{"pollSeconds": 1, "longPollSeconds": 60})
	gw.is(t, "1", "source", "")
	gw.Await(t, "a request that waits", func() bool { return p.waiting() == 1 })
	for n, revision := range []string{"2", "3"} {
		p.publish(policyOf(t, revision))
		gw.awaits(t, revision)
		gw.Await(t, "the next request that waits", func() bool { return p.waiting() >= n+2 })
	}
	p.publish([]byte("no bundle"))
	gw.is(t, "3", "source", "unpack")
	p.publish(policyOf(t, "4"))
	gw.is(t, "4", "source", "")
}

func TestOAuth2(t *testing.T) {
	p := newLongPoller(t, policyOf(t, "1"))
	guarded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken-canary" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		p.ServeHTTP(w, r)
	}))
	defer guarded.Close()
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, secret, _ := r.BasicAuth(); user != "gw" || secret != "s3cr3t-canary" || r.FormValue("scope") != "bundles" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"access_token":"t0ken-canary","token_type":"Bearer","expires_in":60}`)
	}))
	defer idp.Close()
	t.Setenv("CLIENT_SECRET", "s3cr3t-canary")
	as := func(id string) map[string]any {
		return map[string]any{"credentials": map[string]any{"oauth2": map[string]any{
			"tokenUrl": idp.URL, "clientId": id, "clientSecret": "${CLIENT_SECRET}", "scopes": []string{"bundles"},
		}}}
	}
	gw := start(t, guarded.URL, as("gw"))
	gw.is(t, "1", "source", "")
	gw.quiet(t)
	gw = start(t, guarded.URL, as("other"))
	gw.is(t, "", "", "the token endpoint answered 401 Unauthorized")
	gw.quiet(t)
}
