package upstream

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reread"
)

// OpenHeader returns the value of a header from a file that is read again when
// it changes. One line break at the end is not part of the value. A value of
// Authorization that names no scheme is a bearer token.
func OpenHeader(name, path string, log *slog.Logger) (func() string, error) {
	files, err := reread.Open("header "+name, log, func(texts [][]byte) (string, error) {
		value := string(bytes.TrimSuffix(bytes.TrimSuffix(texts[0], []byte("\n")), []byte("\r")))
		isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
		if value == "" || strings.TrimSpace(value) != value || strings.ContainsFunc(value, isControl) {
			return "", fmt.Errorf("%s: not the value of a header (one line, no space around it)", path)
		}
		if name == "Authorization" && !strings.Contains(value, " ") {
			value = "Bearer " + value
		}
		return value, nil
	}, path)
	if err != nil {
		return nil, err
	}
	return files.Get, nil
}

// TLSFiles are the PEM files of TLS to a server. An empty path is none.
type TLSFiles struct {
	CA          string // the only roots that are trusted, in place of the system's
	Certificate string // with Key or not at all
	Key         string
	ServerName  string // the name in the server's certificate; empty: the URL's
}

// NewTLSTransport is NewTransport with TLS of its own. When the files change, new
// connections go by what they then say, and idle ones are closed.
func NewTLSTransport(wait time.Duration, files TLSFiles, log *slog.Logger) (http.RoundTripper, error) {
	var paths []string
	for _, path := range []string{files.CA, files.Certificate, files.Key} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	var last *http.Transport
	changing, err := reread.Open("TLS to a server: "+strings.Join(paths, ", "), log, func(texts [][]byte) (*http.Transport, error) {
		c, err := files.config(texts)
		if err != nil {
			return nil, err
		}
		if last != nil {
			last.CloseIdleConnections()
		}
		last = NewTransport(wait)
		last.TLSClientConfig = c
		return last, nil
	}, paths...)
	if err != nil {
		return nil, err
	}
	return changingTransport{changing}, nil
}

func (f *TLSFiles) config(texts [][]byte) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if f.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(texts[0]) {
			return nil, fmt.Errorf("%s: no certificate in PEM", f.CA)
		}
		texts = texts[1:]
	}
	if f.Certificate != "" {
		pair, err := tls.X509KeyPair(texts[0], texts[1])
		if err != nil {
			return nil, fmt.Errorf("%s, %s: not a certificate and its key in PEM", f.Certificate, f.Key)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// A changingTransport is whatever transport the files make.
type changingTransport struct {
	files *reread.Files[*http.Transport]
}

func (t changingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.files.Get().RoundTrip(r)
}

// CloseIdleConnections is what http.Client looks for.
func (t changingTransport) CloseIdleConnections() { t.files.Get().CloseIdleConnections() }
