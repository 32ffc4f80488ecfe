package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"testing"
	"time"
)

func digest(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// certificate is one as a connection has it: encoded, and parsed again.
func certificate(t *testing.T, subject pkix.Name, uris ...string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, ecKey.Public(), ecKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificates(t *testing.T) {
	all := Certificates{
		{Subject: "CN=ci,O=Example", ID: "ci@org", Roles: []string{"ci"}},
		{SPIFFE: "spiffe://example.org/agents/root", ID: "root", Roles: []string{"admin"}},
		{SPIFFE: "spiffe://example.org/agents/*", Roles: []string{"agent"}},
		{Subject: "CN=plain", Roles: []string{}},
	}
	ci := pkix.Name{CommonName: "ci", Organization: []string{"Example"}}
	for _, tc := range []struct {
		name string
		cert *x509.Certificate
		id   string // empty: nobody
		role string
	}{
		{"subject", certificate(t, ci), "ci@org", "ci"},
		{"subject without id", certificate(t, pkix.Name{CommonName: "plain"}), "CN=plain", ""},
		{"longer subject", certificate(t, pkix.Name{CommonName: "ci", Organization: []string{"Example"}, Country: []string{"CH"}}), "", ""},
		{"subject in one name", certificate(t, pkix.Name{CommonName: "ci,O=Example"}), "", ""},
		{"no subject", certificate(t, pkix.Name{}), "", ""},
		{"exact SPIFFE ID", certificate(t, pkix.Name{}, "spiffe://example.org/agents/root"), "root", "admin"},
		{"SPIFFE ID below", certificate(t, pkix.Name{}, "spiffe://example.org/agents/a/b"), "spiffe://example.org/agents/a/b", "agent"},
		{"SPIFFE ID of the folder", certificate(t, pkix.Name{}, "spiffe://example.org/agents"), "", ""},
		{"longer folder", certificate(t, pkix.Name{}, "spiffe://example.org/agents2/x"), "", ""},
		{"another trust domain", certificate(t, pkix.Name{}, "spiffe://example.org.evil/agents/root"), "", ""},
		{"two SPIFFE IDs", certificate(t, pkix.Name{}, "spiffe://example.org/agents/root", "spiffe://example.org/agents/x"), "", ""},
		{"another scheme", certificate(t, pkix.Name{}, "https://example.org/agents/root"), "", ""},
		{"subject that is a SPIFFE ID", certificate(t, pkix.Name{CommonName: "spiffe://example.org/agents/root"}), "", ""},
		{"first match counts", certificate(t, ci, "spiffe://example.org/agents/x"), "ci@org", "ci"},
	} {
		caller, err := all.Identify(t.Context(), &Request{Certificate: tc.cert})
		switch {
		case err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.id == "" && caller != nil:
			t.Errorf("%s is %+v", tc.name, caller)
		case tc.id != "" && (caller == nil || caller.ID != tc.id || caller.Auth != AuthCertificate || tc.role != "" && !slices.Equal(caller.Roles, []string{tc.role})):
			t.Errorf("%s is %+v", tc.name, caller)
		}
	}
}

// A certificate beside other proofs, and alone.
func TestCertificateAmongMethods(t *testing.T) {
	keys := &APIKeys{}
	keys.Set([]APIKey{{Caller: Caller{ID: "alice"}, SHA256: digest("key")}})
	i := &Identifier{
		Methods:   []Method{&Bearer{Keys: keys}, Certificates{{Subject: "CN=ci"}}},
		Anonymous: &Caller{ID: "anonymous", Auth: AuthAnonymous}, Proxies: &Proxies{},
	}
	known, unknown := certificate(t, pkix.Name{CommonName: "ci"}), certificate(t, pkix.Name{CommonName: "mesh"})
	over := certificate(t, pkix.Name{CommonName: "ci"})
	over.NotAfter = time.Now().Add(-time.Second)
	key := http.Header{"X-Api-Key": {"key"}}
	for _, tc := range []struct {
		name   string
		header http.Header
		cert   *x509.Certificate
		id     string // empty: refused
	}{
		{"known", nil, known, "CN=ci"},
		{"known and a key", key, known, ""},
		{"of nobody and a key", key, unknown, "alice"},
		{"of nobody alone is not anonymous", nil, unknown, ""},
		{"expired on an old connection", nil, over, ""},
		{"none", nil, nil, "anonymous"},
	} {
		caller, _, err := i.Identify(t.Context(), &Request{Header: tc.header, Peer: netip.MustParseAddr("192.0.2.1"), Certificate: tc.cert})
		if tc.id == "" && !errors.Is(err, ErrBadCredentials) || tc.id != "" && (err != nil || caller.ID != tc.id) {
			t.Errorf("%s: %+v, %v", tc.name, caller, err)
		}
	}
}
