package listen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/internal/reread"
)

// TLSFiles are the PEM files of TLS to clients.
type TLSFiles struct {
	Certificate string // with those up to the root's
	Key         string
	ClientCA    string // the roots of client certificates; empty: none are asked for
}

// suites are those of TLS 1.2 that have forward secrecy and authenticate what
// they encrypt. Those of 1.3 all do.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// NewTLS returns the configuration of a listener with TLS of at least that
// version. When the files change, new connections go by what they then say. A
// client may come without a certificate; one that it shows must be good.
//
// Only HTTP/1.1 is offered. The rules for framing are made and tested for it,
// and a connection of HTTP/2 is a machine with limits of its own.
func NewTLS(files TLSFiles, minVersion uint16, log *slog.Logger) (*tls.Config, error) {
	paths := []string{files.Certificate, files.Key}
	if files.ClientCA != "" {
		paths = append(paths, files.ClientCA)
	}
	changing, err := reread.Open("TLS to clients", log, func(texts [][]byte) (*tls.Config, error) {
		pair, err := tls.X509KeyPair(texts[0], texts[1])
		if err != nil {
			return nil, fmt.Errorf("%s, %s: not a certificate and its key in PEM", files.Certificate, files.Key)
		}
		c := &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: minVersion, CipherSuites: suites, NextProtos: []string{"http/1.1"},
		}
		if files.ClientCA == "" {
			return c, nil
		}
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
		c.SessionTicketsDisabled = true // each connection is to be judged by the roots as they are then
		if !c.ClientCAs.AppendCertsFromPEM(texts[2]) {
			return nil, fmt.Errorf("%s: no certificate in PEM", files.ClientCA)
		}
		return c, nil
	}, paths...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         minVersion,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return changing.Get(), nil },
	}, nil
}
