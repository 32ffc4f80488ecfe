package upstream

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
)

var quiet = slog.New(slog.DiscardHandler)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHeaderFromAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "value")
	for _, c := range []struct{ name, text, want string }{
		{"X-Api-Key", "k", "k"},
		{"X-Api-Key", "k\n", "k"},
		{"X-Api-Key", "k k\r\n", "k k"},
		{"Authorization", "Basic YTpi\n", "Basic YTpi"},
		{"Authorization", "t0ken\n", "Bearer t0ken"},
		{"X-Api-Key", "", ""},
		{"X-Api-Key", "\n", ""},
		{"X-Api-Key", "canary\n\n", ""},
		{"X-Api-Key", "canary\nX-Evil: 1", ""},
		{"X-Api-Key", " canary", ""},
		{"X-Api-Key", "canary\x00", ""},
	} {
		writeFile(t, path, c.text)
		get, err := OpenHeader(c.name, path, quiet)
		switch {
		case c.want == "" && (err == nil || strings.Contains(err.Error(), "canary")):
			t.Errorf("%q: %v", c.text, err)
		case c.want != "" && (err != nil || get() != c.want):
			t.Errorf("%q: %v", c.text, err)
		}
	}
}

// A header from a file is what the file says when a message is sent.
func TestHeaderFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	writeFile(t, path, "first")
	get, err := OpenHeader("Authorization", path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	u, g := guardedBy(t, nil)
	u.Files = map[string]func() string{"Authorization": get}
	for _, text := range []string{"first", "second", "no\nheader", "third"} {
		writeFile(t, path, text)
		if _, bad := ask(u, "alice", ""); bad != nil {
			t.Error(bad)
		}
	}
	if got := strings.Join(g.seen, ", "); got != "Bearer first, Bearer second, Bearer second, Bearer third" {
		t.Errorf("server got %s", got)
	}
}

// tlsServer is an upstream with that certificate, which asks for one of the
// clients' and answers with the name in it.
func tlsServer(t *testing.T, files testcert.Files, clients *testcert.CA) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.VerifiedChains) > 0 {
			name = r.TLS.VerifiedChains[0][0].Subject.CommonName
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `"`+name+` by `+r.Proto+`"`)
	}))
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{files.Pair(t)}, ClientCAs: clients.Pool, ClientAuth: tls.VerifyClientCertIfGiven,
		NextProtos: []string{"h2", "http/1.1"},
	}
	s.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelDebug)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestTLSToServer(t *testing.T) {
	t.Parallel()
	ours, others := testcert.NewCA(t, "ours"), testcert.NewCA(t, "others")
	s := tlsServer(t, ours.Issue("server.example"), ours)
	mine, foreign := ours.Issue("gateway"), others.Issue("stranger")
	for _, c := range []struct {
		name  string
		files TLSFiles
		want  string // the answer, or what the cause has
		ok    bool
	}{
		{"its CA", TLSFiles{CA: ours.File}, `"nobody by HTTP/2.0"`, true},
		{"a certificate", TLSFiles{CA: ours.File, Certificate: mine.Certificate, Key: mine.Key}, `"gateway by HTTP/2.0"`, true},
		{"its name", TLSFiles{CA: ours.File, ServerName: "server.example"}, `"nobody by HTTP/2.0"`, true},
		{"another name", TLSFiles{CA: ours.File, ServerName: "other.example"}, "other.example", false},
		{"another CA", TLSFiles{CA: others.File}, "unknown authority", false},
		{"the system's CAs", TLSFiles{Certificate: mine.Certificate, Key: mine.Key}, "unknown authority", false},
		{"a certificate of no use there", TLSFiles{CA: ours.File, Certificate: foreign.Certificate, Key: foreign.Key}, `"nobody by HTTP/2.0"`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := to(t, s.URL)
			var err error
			if u.Transport, err = NewTLSTransport(time.Minute, c.files, quiet); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(NewClient(u.Transport).CloseIdleConnections)
			a, bad := ask(u, "alice", "")
			switch {
			case c.ok && (bad != nil || a.Text != c.want):
				t.Errorf("%+v, %v", a, bad)
			case !c.ok && (bad == nil || bad.Status != http.StatusBadGateway || !strings.Contains(bad.Cause, c.want)):
				t.Errorf("%+v, want %s", bad, c.want)
			}
		})
	}
}

func TestTLSFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	ca := testcert.NewCA(t, "ours")
	s := tlsServer(t, ca.Issue("server.example"), ca)
	mine := ca.Issue("old")
	u := to(t, s.URL)
	var err error
	u.Transport, err = NewTLSTransport(time.Minute, TLSFiles{CA: ca.File, Certificate: mine.Certificate, Key: mine.Key}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(NewClient(u.Transport).CloseIdleConnections)
	key, err := os.ReadFile(mine.Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, "old"},
		{func() { ca.IssueTo(mine, "new") }, "new"},
		{func() { writeFile(t, mine.Key, string(key)) }, "new"}, // of another certificate
		{func() { writeFile(t, mine.Certificate, "garbage") }, "new"},
		{func() { writeFile(t, ca.File, "") }, "new"},
	} {
		step.change()
		if a, bad := ask(u, "alice", ""); bad != nil || a.Text != `"`+step.want+` by HTTP/2.0"` {
			t.Errorf("%s: %+v, %v", step.want, a, bad)
		}
	}
}

func TestBadTLSFiles(t *testing.T) {
	t.Parallel()
	ca := testcert.NewCA(t, "ours")
	one, two := ca.Issue("one"), ca.Issue("two")
	for name, c := range map[string]struct {
		files TLSFiles
		want  string
	}{
		"no CA":         {TLSFiles{CA: filepath.Join(t.TempDir(), "ca.pem")}, "no such file"},
		"a key as CA":   {TLSFiles{CA: one.Key}, "no certificate in PEM"},
		"not a pair":    {TLSFiles{Certificate: one.Certificate, Key: two.Key}, "not a certificate and its key"},
		"the wrong way": {TLSFiles{CA: ca.File, Certificate: one.Key, Key: one.Certificate}, "not a certificate and its key"},
	} {
		if _, err := NewTLSTransport(time.Minute, c.files, quiet); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
