package config

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

const (
	bundleWant = "a .tar.gz file, a directory, an http or https URL without credentials and fragment, or " +
		"oci://registry/repository:tag or @sha256:digest"
	digestLen = 2 * sha256.Size // hex digits
)

// bundle is a leaf for where the bundle is; empty text is no bundle.
func bundle(dst *string) leaf {
	return parsed(dst, bundleWant, func(text string) (string, bool) {
		return text, location(text) || ociText.MatchString(text)
	})
}

// ociText is an OCI reference with a tag or a digest, as the distribution specification writes them.
var ociText = regexp.MustCompile(`^oci://[a-zA-Z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+` +
	`(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$`)

// revoked is a leaf for where the list of revoked revisions is; empty text is none.
func revoked(dst *string) leaf {
	return parsed(dst, "a file or an http or https URL without credentials and fragment", func(text string) (string, bool) {
		return text, location(text)
	})
}

// bundlePath is a leaf for a bundle on disk.
func bundlePath(dst *string) leaf {
	return parsed(dst, "the path of a .tar.gz file or a directory", func(text string) (string, bool) {
		return text, !strings.Contains(text, "://") && printable(text)
	})
}

// bundleURL is a leaf for a bundle on an HTTP server or in a registry.
func bundleURL(dst *string) leaf {
	const want = "an http or https URL without credentials and fragment, or oci://registry/repository:tag or @sha256:digest"
	return parsed(dst, want, func(text string) (string, bool) {
		_, ok := parseURL(text)
		return text, ok || ociText.MatchString(text)
	})
}

// location reports whether text is a path or an http(s) URL.
func location(text string) bool {
	_, valid := parseURL(text)
	return printable(text) && (valid || !strings.Contains(text, "://"))
}

// pin is a leaf for what the bundle must be: a digest, or where to read it; empty text is no pin.
func pin(dst *string) leaf {
	const want = "64 hex digits, or a path or http(s) URL that ends in .sha256"
	return parsed(dst, want, func(text string) (string, bool) {
		if _, ok := digest(text); ok {
			return strings.ToLower(text), true
		}
		return text, text == "" || strings.HasSuffix(text, ".sha256") && location(text)
	})
}

// keyDigest is a leaf for the SHA-256 of an API key. It is never shown: somebody will put the key there.
func keyDigest(dst *[sha256.Size]byte) leaf {
	const want = "64 hex digits (the SHA-256 of a key that is not empty)"
	v := parsed(dst, want, func(text string) ([sha256.Size]byte, bool) {
		sum, ok := digest(text)
		return sum, ok && sum != sha256.Sum256(nil)
	})
	v.secret = true
	return v
}

// digest reads 64 hex digits.
func digest(text string) (sum [sha256.Size]byte, ok bool) {
	if len(text) != digestLen {
		return sum, false
	}
	n, err := hex.Decode(sum[:], []byte(text))
	return sum, err == nil && n == len(sum)
}
