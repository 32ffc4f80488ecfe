package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

const (
	bundleWant = "a .tar.gz file, a directory or an http or https URL without credentials and fragment"
	digestLen  = 2 * sha256.Size // hex digits
)

// bundle is a leaf for where the bundle is; empty text is no bundle.
func bundle(dst *string) leaf {
	return leaf{want: bundleWant, set: func(text string) error {
		if err := location(text); err != nil {
			return err
		}
		*dst = text
		return nil
	}}
}

// bundlePath is a leaf for a bundle on disk.
func bundlePath(dst *string) leaf {
	return parsed(dst, "the path of a .tar.gz file or a directory", func(text string) (string, bool) {
		return text, !strings.Contains(text, "://") && printable(text)
	})
}

// bundleURL is a leaf for a bundle on an HTTP server.
func bundleURL(dst *string) leaf {
	return parsed(dst, "an http or https URL without credentials and fragment", func(text string) (string, bool) {
		_, ok := parseURL(text)
		return text, ok
	})
}

// location returns nil for a path or an http(s) URL.
func location(text string) error {
	scheme, _, isURL := strings.Cut(text, "://")
	if isURL && scheme == "oci" {
		return errors.New("is an OCI reference, which is not supported yet (" + bundleWant + ")")
	}
	_, valid := parseURL(text)
	if isURL && !valid || !printable(text) {
		return errors.New("is not " + bundleWant)
	}
	return nil
}

// pin is a leaf for what the bundle must be: a digest, or where to read it; empty text is no pin.
func pin(dst *string) leaf {
	const want = "64 hex digits, or a path or http(s) URL that ends in .sha256"
	return parsed(dst, want, func(text string) (string, bool) {
		if _, ok := digest(text); ok {
			return strings.ToLower(text), true
		}
		return text, text == "" || strings.HasSuffix(text, ".sha256") && location(text) == nil
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
