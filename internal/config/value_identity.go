package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// algorithms are the signature algorithms that a token may have. All are asymmetric.
const algorithms = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519"

// defaultSkew is how far clocks may be apart, and how long an introspection counts.
const defaultSkew = 30 * time.Second

func algorithm(dst *string) leaf {
	return oneOf(dst, strings.Split(algorithms, ", ")...)
}

func shortSeconds(dst *time.Duration) leaf {
	return whole(dst, "a whole number of seconds (0 to 300)", 0, 300, time.Second)
}

// scopeText is a scope-token of RFC 6749: what a challenge can quote.
var scopeText = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)

func scope(dst *string) leaf {
	return matching(dst, "a scope (visible ASCII without quotes and backslashes)", scopeText)
}

// secureURL is a leaf for the URL of an authorization server, kept as it is written: an issuer's name is
// compared as text.
func secureURL(dst *string) leaf {
	const want = "an absolute https URL (or http to this machine) without credentials, query and fragment"
	return parsed(dst, want, func(text string) (string, bool) {
		u, ok := parseURL(text)
		return text, ok && (u.Scheme == "https" || local(u)) && u.RawQuery == "" && !strings.Contains(text, "?") && printable(text)
	})
}

// secureURLOrNone takes an empty text for none.
func secureURLOrNone(dst *string) leaf {
	v := secureURL(dst)
	set := v.set
	v.set = func(text string) error {
		if text == "" {
			*dst = ""
			return nil
		}
		return set(text)
	}
	return v
}

// local reports whether a URL leads to this machine.
func local(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

func publicURL(dst *string) leaf {
	const want = "the http or https origin of the gateway, such as https://gw.example"
	return parsed(dst, want, func(text string) (result string, ok bool) {
		web := strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
		return result, web && origin(&result).set(text) == nil
	})
}

// spiffeText is a SPIFFE ID, or one that ends in /* for all below it.
var spiffeText = regexp.MustCompile(`^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*(/\*)?$`)

func spiffeID(dst *string) leaf {
	return matching(dst, "a SPIFFE ID such as spiffe://example.org/agent, or spiffe://example.org/agents/* for all below", spiffeText)
}

func inputPath(dst *string) leaf {
	return parsed(dst, "the path of a file", func(text string) (string, bool) {
		return text, text != "" && printable(text)
	})
}
