package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A server is a bundle server that counts its answers.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	codes map[int]int
	fail  http.HandlerFunc
}

func serve(t *testing.T) *server {
	s := &server{files: map[string][]byte{}, codes: map[int]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		raw, ok := s.files[r.URL.Path]
		tag := `"` + digest(raw)[:8] + `"`
		switch {
		case s.fail != nil:
			s.fail(w, r)
			return
		case !ok:
			s.codes[http.StatusNotFound]++
			w.WriteHeader(http.StatusNotFound)
			return
		case r.Header.Get("If-None-Match") == tag:
			s.codes[http.StatusNotModified]++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		s.codes[http.StatusOK]++
		w.Header().Set("ETag", tag)
		_, _ = w.Write(raw)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) counts(t *testing.T, ok, unchanged int) {
	t.Helper()
	if s.codes[200] != ok || s.codes[304] != unchanged {
		t.Errorf("answers %v, want %d times 200 and %d times 304", s.codes, ok, unchanged)
	}
}

func TestHTTPBundle(t *testing.T) {
	s := serve(t)
	w := watch(t, s.URL+"/b.tar.gz?token=canary-7f3a", "")
	w.bad("404", "", 1)
	s.files["/b.tar.gz"] = pack(t, entries(revision("one"))...)
	w.good("one", 2)
	s.counts(t, 1, 0)
	w.good("one", 2)
	w.good("one", 2)
	s.counts(t, 1, 2)
	s.files["/b.tar.gz"] = []byte("broken")
	w.bad("unpack", "one", 3)
	w.bad("unpack", "one", 4) // its etag was not believed
	s.counts(t, 3, 2)
	s.files["/b.tar.gz"] = pack(t, entries(revision("two"))...)
	w.good("two", 5)

	// The same bytes under another tag are the same bundle, and the tag is learnt.
	s.fail = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"new"` {
			s.codes[http.StatusNotModified]++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"new"`)
		_, _ = w.Write(s.files["/b.tar.gz"])
	}
	w.good("two", 5)
	before := s.codes[304]
	w.good("two", 5)
	if s.codes[304] != before+1 {
		t.Error("the new tag was not learnt")
	}

	loads := 5
	for why, answer := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/c.tar.gz?token=canary-7f3a", http.StatusFound)
		},
		"204":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"unpack: EOF": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) },
		"unexpected EOF": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte("half"))
		},
	} {
		s.fail = answer
		loads++
		w.bad(why, "two", loads)
	}
	s.fail = nil
	w.good("two", loads)
	if strings.Contains(w.log.String(), "canary") || strings.Contains(fmt.Sprint(w.loads), "canary") {
		t.Errorf("the log quotes the query: %s", w.log.String())
	}
}

// An answer that claims "not modified" to whoever has nothing is no answer.
func TestHTTPUnaskedNotModified(t *testing.T) {
	s := serve(t)
	s.fail = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }
	watch(t, s.URL+"/b", "").bad("304", "", 1)
	watch(t, s.URL+"/b", s.URL+"/b.sha256").bad("304", "", 1)
}

// With a digest that changed, what the server calls unchanged is fetched anew.
func TestHTTPDigest(t *testing.T) {
	s := serve(t)
	one, two := pack(t, entries(revision("one"))...), pack(t, entries(revision("two"))...)
	s.files["/b"], s.files["/b.sha256"] = one, []byte(digest(one)+"  b\n")
	w := watch(t, s.URL+"/b", s.URL+"/b.sha256")
	w.good("one", 1)
	w.good("one", 1)
	s.files["/b.sha256"] = []byte(digest(two) + "  b\n")
	w.bad("expected "+digest(two), "one", 2)
	s.files["/b"] = two
	w.good("two", 3)
	delete(s.files, "/b.sha256")
	w.bad("404", "two", 4)
}

func TestHTTPGone(t *testing.T) {
	s := serve(t)
	w := watch(t, "http://user:canary-7f3a@"+s.Listener.Addr().String()+"/b?token=canary-7f3a", "")
	s.Close()
	w.bad("refused", "", 1)
	watch(t, "http://canary-7f3a@h:bad/", "").bad("load bundle", "", 1)
	if strings.Contains(w.log.String(), "canary") {
		t.Errorf("the log quotes the URL: %s", w.log.String())
	}
}

func TestHTTPSlow(t *testing.T) {
	reached := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	}))
	defer s.Close()
	w := watch(t, s.URL, "")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	if err := w.Reload(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The digest is of the bytes that the server has, however it labels them.
func TestHTTPContentEncoding(t *testing.T) {
	s, raw := serve(t), pack(t, entries(revision("one"))...)
	s.fail = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(raw)
	}
	watch(t, s.URL+"/b", digest(raw)).good("one", 1)
}
