package gateway

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"

	"github.com/gatehouse-mcp/gatehouse/internal/identity"
)

// Handles seals what servers hand out and clients bring back. A sealed handle
// is worth nothing to another principal, at another server or as another kind
// of handle, and nothing about it need be remembered.
type Handles struct{ aead cipher.AEAD }

// Kinds of handles.
const (
	sessionHandle = "session"
	taskHandle    = "task"
	stateHandle   = "state"
)

// NewHandles returns handles sealed with a key of this process alone.
func NewHandles() *Handles {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("a 32-byte AES key: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("GCM of AES: " + err.Error())
	}
	return &Handles{aead}
}

func (h *Handles) seal(kind, handle, server string, caller *identity.Caller) string {
	return base64.RawURLEncoding.EncodeToString(h.aead.Seal(nil, nil, []byte(handle), owner(kind, server, caller)))
}

func (h *Handles) open(kind, sealed, server string, caller *identity.Caller) (string, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return "", false
	}
	handle, err := h.aead.Open(nil, nil, raw, owner(kind, server, caller))
	return string(handle), err == nil
}

func owner(kind, server string, caller *identity.Caller) []byte {
	return []byte(kind + "\x00" + server + "\x00" + caller.Key())
}
