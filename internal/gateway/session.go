package gateway

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"

	"github.com/gatehouse-mcp/gatehouse/internal/identity"
)

// Sessions seals the servers' session ids for the principals that got them. A
// sealed id is worth nothing to anyone else or at another server, and nothing
// about it need be remembered.
type Sessions struct{ aead cipher.AEAD }

// NewSessions returns sessions sealed with a key of this process alone.
func NewSessions() *Sessions {
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
	return &Sessions{aead}
}

func (s *Sessions) seal(id, server string, caller *identity.Caller) string {
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, []byte(id), owner(server, caller)))
}

func (s *Sessions) open(sealed, server string, caller *identity.Caller) (string, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return "", false
	}
	id, err := s.aead.Open(nil, nil, raw, owner(server, caller))
	return string(id), err == nil
}

func owner(server string, caller *identity.Caller) []byte {
	return []byte(server + "\x00" + caller.Key())
}
