package listen

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
)

var quiet = slog.New(slog.DiscardHandler)

// startTLS serves what tells the name in the client's certificate, on a
// loopback address, and returns that.
func startTLS(t *testing.T, files TLSFiles, minVersion uint16) string {
	t.Helper()
	c, err := NewTLS(files, minVersion, quiet)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelDebug), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.VerifiedChains) > 0 {
			name = r.TLS.VerifiedChains[0][0].Subject.CommonName
		}
		_, _ = io.WriteString(w, name)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(tls.NewListener(l, c)) }) // until it is closed
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// dial makes one request over one connection, and returns who the server said
// it was, what it answered, and the state of the connection.
func dial(address string, c *tls.Config) (server, answer string, state tls.ConnectionState, err error) {
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		return "", "", state, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address); err != nil {
		return "", "", state, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", "", state, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	state = conn.ConnectionState()
	return state.PeerCertificates[0].Subject.CommonName, string(body), state, err
}

func TestTLSVersionsAndProtocols(t *testing.T) {
	t.Parallel()
	ca := testcert.NewCA(t, "ours")
	pair := ca.Issue("gateway.example")
	files := TLSFiles{Certificate: pair.Certificate, Key: pair.Key}
	lenient, strict := startTLS(t, files, tls.VersionTLS12), startTLS(t, files, tls.VersionTLS13)
	for _, c := range []struct {
		name, at string
		client   *tls.Config
		version  uint16 // 0: no connection
		protocol string
	}{
		{"the newest", lenient, &tls.Config{}, tls.VersionTLS13, ""},
		{"1.2", lenient, &tls.Config{MaxVersion: tls.VersionTLS12}, tls.VersionTLS12, ""},
		{"1.1", lenient, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0, ""},
		{"1.2 at a strict one", strict, &tls.Config{MaxVersion: tls.VersionTLS12}, 0, ""},
		{"1.3 at a strict one", strict, &tls.Config{}, tls.VersionTLS13, ""},
		{"a key exchange without secrecy", lenient, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, 0, ""},
		{"CBC alone", lenient, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, 0, ""},
		{"HTTP/2 or 1.1", lenient, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, tls.VersionTLS13, "http/1.1"},
		{"HTTP/2 alone", lenient, &tls.Config{NextProtos: []string{"h2"}}, 0, ""},
		{"another name", lenient, &tls.Config{ServerName: "other.example"}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.client.RootCAs = ca.Pool
			_, _, state, err := dial(c.at, c.client)
			if (err == nil) != (c.version != 0) || state.Version != c.version || state.NegotiatedProtocol != c.protocol {
				t.Errorf("version %x, protocol %q, %v", state.Version, state.NegotiatedProtocol, err)
			}
		})
	}
}

// What is no TLS, or no HTTP/1.1 within it, reaches nothing.
func TestWrongProtocolOnATLSListener(t *testing.T) {
	t.Parallel()
	ca := testcert.NewCA(t, "ours")
	pair := ca.Issue("gateway.example")
	at := startTLS(t, TLSFiles{Certificate: pair.Certificate, Key: pair.Key}, tls.VersionTLS12)
	plain, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := tls.Dial("tcp", at, &tls.Config{RootCAs: ca.Pool})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		conn       net.Conn
		says, want string
	}{
		"plain text":                   {plain, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.0 400 "},
		"HTTP/2 without being offered": {encrypted, "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
	} {
		if _, err := io.WriteString(c.conn, c.says); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c.conn)
		if !strings.HasPrefix(string(answer), c.want) || strings.Contains(string(answer), "nobody") {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
		_ = c.conn.Close()
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ours, others := testcert.NewCA(t, "ours"), testcert.NewCA(t, "others")
	pair := ours.Issue("gateway.example")
	files := TLSFiles{Certificate: pair.Certificate, Key: pair.Key}
	open := startTLS(t, files, tls.VersionTLS12)
	files.ClientCA = ours.File
	asking := startTLS(t, files, tls.VersionTLS12)
	// always shows a certificate, whatever the server asks for.
	always := func(pair tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ours.Pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	}
	alice := ours.Issue("alice").Pair(t)
	noKey := others.Issue("alice").Pair(t)
	noKey.Certificate = alice.Certificate // shown without having its key
	for _, c := range []struct {
		name, at string
		client   *tls.Config
		want     string // who the client is; empty: no connection
	}{
		{"none", asking, &tls.Config{RootCAs: ours.Pool}, "nobody"},
		{"a good one", asking, always(alice), "alice"},
		{"another CA's", asking, always(others.Issue("alice").Pair(t)), ""},
		{"stolen without its key", asking, always(noKey), ""},
		{"nobody asks", open, always(alice), "nobody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, got, _, err := dial(c.at, c.client)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestTLSFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	ours, others := testcert.NewCA(t, "ours"), testcert.NewCA(t, "others")
	pair := ours.Issue("old.example")
	files := TLSFiles{Certificate: pair.Certificate, Key: pair.Key, ClientCA: filepath.Join(t.TempDir(), "clients.pem")}
	copyFile(t, files.ClientCA, ours.File)
	at := startTLS(t, files, tls.VersionTLS12)
	key := pair.Key + ".old"
	copyFile(t, key, pair.Key)
	roots := x509.NewCertPool()
	for _, ca := range []*testcert.CA{ours, others} {
		text, err := os.ReadFile(ca.File)
		if err != nil || !roots.AppendCertsFromPEM(text) {
			t.Fatal(err)
		}
	}
	client := &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{ours.Issue("alice").Pair(t)},
		ClientSessionCache: tls.NewLRUClientSessionCache(8), // a resumed session must not outlive the roots
	}
	for _, step := range []struct {
		name           string
		change         func()
		server, client string
	}{
		{"as it began", func() {}, "old.example", "alice"},
		{"a new certificate", func() { ours.IssueTo(pair, "new.example") }, "new.example", "alice"},
		{"a key of another", func() { copyFile(t, pair.Key, key) }, "new.example", "alice"},
		{"garbage", func() { copyFile(t, pair.Certificate, pair.Key) }, "new.example", "alice"},
		{"another CA's", func() { others.IssueTo(pair, "other.example") }, "other.example", "alice"},
		{"no roots", func() { copyFile(t, files.ClientCA, pair.Key) }, "other.example", "alice"},
		{"other roots", func() { copyFile(t, files.ClientCA, others.File) }, "other.example", "nobody"},
	} {
		step.change()
		for range 2 {
			server, who, state, err := dial(at, client)
			if err != nil || server != step.server || who != step.client || state.DidResume {
				t.Errorf("%s: %q to %q, resumed %v, %v", step.name, who, server, state.DidResume, err)
			}
		}
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
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
		"no certificate": {TLSFiles{Certificate: filepath.Join(t.TempDir(), "tls.crt"), Key: one.Key}, "no such file"},
		"not a pair":     {TLSFiles{Certificate: one.Certificate, Key: two.Key}, "not a certificate and its key"},
		"the wrong way":  {TLSFiles{Certificate: one.Key, Key: one.Certificate}, "not a certificate and its key"},
		"a key as root":  {TLSFiles{Certificate: one.Certificate, Key: one.Key, ClientCA: one.Key}, "no certificate in PEM"},
	} {
		if _, err := NewTLS(c.files, tls.VersionTLS12, quiet); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A page that was not fetched over TLS may be anybody's.
func TestOriginOverTLS(t *testing.T) {
	t.Parallel()
	for origin, forbidden := range map[string]bool{
		"https://gateway.example": false, "http://gateway.example": true, "https://app.example": false, "https://evil.example": true,
	} {
		r := &http.Request{Host: "gateway.example", Header: http.Header{"Origin": {origin}}, TLS: &tls.ConnectionState{}}
		if bad := (&Origins{Allowed: []string{"https://app.example"}}).check(r); (bad != nil) != forbidden {
			t.Errorf("%s: %v", origin, bad)
		}
	}
}
