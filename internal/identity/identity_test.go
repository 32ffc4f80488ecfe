package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func identifier(t *testing.T) *Identifier {
	t.Helper()
	sum := sha256.Sum256([]byte("alice-key"))
	keys := &APIKeys{}
	keys.Set([]APIKey{{Caller: Caller{ID: "alice@org", Roles: []string{"dev"}}, SHA256: sum}})
	proxies := &Proxies{
		CIDRs:      []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		UserHeader: "X-Forwarded-User", RolesHeader: "X-Forwarded-Groups",
	}
	return &Identifier{Methods: []Method{&Bearer{Keys: keys}, proxies}, Proxies: proxies}
}

func TestIdentify(t *testing.T) {
	const outside, proxy = "192.0.2.7", "10.1.1.1"
	for _, tc := range []struct {
		name   string
		peer   string
		header http.Header
		id     string
		auth   string
		roles  []string
		from   string
		err    error
	}{
		{name: "nothing", peer: outside, from: outside, err: ErrNoCredentials},
		{name: "bearer", peer: outside, header: http.Header{"Authorization": {"Bearer alice-key"}}, id: "alice@org", auth: "api_key", roles: []string{"dev"}, from: outside},
		{name: "scheme in lower case", peer: outside, header: http.Header{"Authorization": {"bearer alice-key"}}, id: "alice@org", auth: "api_key", roles: []string{"dev"}, from: outside},
		{name: "own header", peer: outside, header: http.Header{"X-Api-Key": {"alice-key"}}, id: "alice@org", auth: "api_key", roles: []string{"dev"}, from: outside},
		{name: "wrong key", peer: outside, header: http.Header{"X-Api-Key": {"alice-kex"}}, from: outside, err: ErrBadCredentials},
		{name: "empty key", peer: outside, header: http.Header{"X-Api-Key": {""}}, from: outside, err: ErrBadCredentials},
		{name: "digest instead of key", peer: outside, header: http.Header{"X-Api-Key": {"5cde8a0e2ab4bb0d0e1a1bb3a2fb65d8"}}, from: outside, err: ErrBadCredentials},
		{name: "basic", peer: outside, header: http.Header{"Authorization": {"Basic YWxpY2U6a2V5"}}, from: outside, err: ErrBadCredentials},
		{name: "two keys", peer: outside, header: http.Header{"X-Api-Key": {"alice-key", "alice-key"}}, from: outside, err: ErrBadCredentials},
		{name: "both headers", peer: outside, header: http.Header{"X-Api-Key": {"alice-key"}, "Authorization": {"Bearer alice-key"}}, from: outside, err: ErrBadCredentials},
		{name: "forwarded user from anyone", peer: outside, header: http.Header{"X-Forwarded-User": {"root"}}, from: outside, err: ErrNoCredentials},
		{name: "forwarded user from a proxy", peer: proxy, header: http.Header{"X-Forwarded-User": {"bob"}, "X-Forwarded-Groups": {"dev, ops", "qa"}}, id: "bob", auth: "proxy", roles: []string{"dev", "ops", "qa"}, from: proxy},
		{name: "mapped address of a proxy", peer: "::ffff:10.1.1.1", header: http.Header{"X-Forwarded-User": {"bob"}}, id: "bob", auth: "proxy", from: proxy},
		{name: "two users", peer: proxy, header: http.Header{"X-Forwarded-User": {"bob", "root"}}, from: proxy, err: ErrBadCredentials},
		{name: "two identities", peer: proxy, header: http.Header{"X-Forwarded-User": {"bob"}, "X-Api-Key": {"alice-key"}}, from: proxy, err: ErrBadCredentials},
		{name: "hops", peer: proxy, header: http.Header{"X-Forwarded-User": {"bob"}, "X-Forwarded-For": {"1.1.1.1, 192.0.2.9", "10.2.2.2"}}, id: "bob", auth: "proxy", from: "192.0.2.9"},
		{name: "hops from anyone", peer: outside, header: http.Header{"X-Api-Key": {"alice-key"}, "X-Forwarded-For": {"10.9.9.9"}}, id: "alice@org", auth: "api_key", roles: []string{"dev"}, from: outside},
		{name: "a hop that is no address", peer: proxy, header: http.Header{"X-Forwarded-User": {"bob"}, "X-Forwarded-For": {"1.1.1.1, junk, 10.2.2.2"}}, id: "bob", auth: "proxy", from: "10.2.2.2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.header == nil {
				tc.header = http.Header{}
			}
			caller, from, err := identifier(t).Identify(t.Context(), &Request{Header: tc.header, Peer: netip.MustParseAddr(tc.peer)})
			if !errors.Is(err, tc.err) || from.String() != tc.from {
				t.Fatalf("from %v, error %v; want %v, %v", from, err, tc.from, tc.err)
			}
			if err != nil {
				return
			}
			if caller.ID != tc.id || caller.Auth != tc.auth || !slices.Equal(caller.Roles, tc.roles) {
				t.Errorf("caller %+v", caller)
			}
		})
	}
}

func TestForwardedHeadersFromAnyoneAreDeleted(t *testing.T) {
	h := http.Header{
		"X-Forwarded-User": {"root"}, "X-Forwarded-Groups": {"admin"}, "X-Forwarded-For": {"10.0.0.1"},
		"Forwarded": {"for=10.0.0.1"}, "X-Real-Ip": {"10.0.0.1"}, "User-Agent": {"curl"},
	}
	_, _, _ = identifier(t).Identify(t.Context(), &Request{Header: h, Peer: netip.MustParseAddr("192.0.2.7")})
	if len(h) != 1 || h.Get("User-Agent") != "curl" {
		t.Errorf("headers left: %v", h)
	}
}

func TestAnonymous(t *testing.T) {
	i := identifier(t)
	i.Anonymous = &Caller{ID: "anonymous", Auth: "anonymous"}
	peer := netip.MustParseAddr("192.0.2.7")
	if caller, _, err := i.Identify(t.Context(), &Request{Header: http.Header{}, Peer: peer}); err != nil || caller.ID != "anonymous" {
		t.Errorf("caller %v, error %v", caller, err)
	}
	if _, _, err := i.Identify(t.Context(), &Request{Header: http.Header{"X-Api-Key": {"wrong"}}, Peer: peer}); !errors.Is(err, ErrBadCredentials) {
		t.Errorf("a wrong key must not fall back to anonymous: %v", err)
	}
}

func TestTokenIsNotShown(t *testing.T) {
	c := Caller{ID: "a", Token: "canary"}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "caller", c, "token", c.Token)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", c, &c, c, c.Token, c.Token), logged.String(), string(encoded)} {
		if strings.Contains(text, "canary") || !strings.Contains(text, "redacted") {
			t.Error(text)
		}
	}
}
