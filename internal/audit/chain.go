package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
)

// A record ends in its link of a hash chain:
//
//	,"chain":"<id>","seq":<n>,"prev":"<hash>","hash":"<hash>"}
//
// hash is that of the line up to, and without, the comma before it; prev is the
// hash of the record before, and A's for the first. With a key it is an HMAC,
// and the member is called hmac, so that neither passes for the other.
const (
	idLen  = 16 // base32 characters, 80 bits
	sumLen = 32 // base64url characters, 192 bits

	hashName = `,"hash":"`
	hmacName = `,"hmac":"` // as long as hashName
)

// An id is a chain's name, and a sum a hash, as a line has them.
type (
	id  [idLen]byte
	sum [sumLen]byte
)

// origin is what the first record of a chain has for the hash of the one before.
var origin = sum(bytes.Repeat([]byte("A"), sumLen))

// A hasher makes sums, with SHA-256 or with HMAC-SHA-256.
type hasher struct {
	h      hash.Hash
	name   string
	digest [sha256.Size]byte
}

func newHasher(key []byte) *hasher {
	if len(key) == 0 {
		return &hasher{h: sha256.New(), name: hashName}
	}
	return &hasher{h: hmac.New(sha256.New, key), name: hmacName}
}

func (h *hasher) sum(text []byte) (s sum) {
	h.h.Reset()
	h.h.Write(text)
	h.h.Sum(h.digest[:0])
	base64.RawURLEncoding.Encode(s[:], h.digest[:base64.RawURLEncoding.DecodedLen(sumLen)])
	return s
}

// A chain is where a chain of records has come to.
type chain struct {
	*hasher
	id         id
	seq        uint64
	last, next sum
}

func newChain(h *hasher) chain {
	return chain{hasher: h, id: id([]byte(rand.Text())[:idLen]), last: origin}
}

// continued is the chain after a record that ends in l.
func continued(h *hasher, l link) chain {
	return chain{hasher: h, id: l.chain, seq: l.seq, last: l.sum}
}

// seal ends a record, which lacks its last brace, with the next link. torn is
// how many bytes of unfinished records stand before it.
func (c *chain) seal(line []byte, torn int64) []byte {
	line = number(line, "torn", torn)
	line = append(append(append(line, `,"chain":"`...), c.id[:]...), '"')
	line = append(line, `,"seq":`...)
	line = strconv.AppendUint(line, c.seq+1, 10)
	line = append(line, `,"prev":"`...)
	line = append(line, c.last[:]...)
	line = append(line, '"')
	c.next = c.sum(line)
	line = append(line, c.name...)
	line = append(line, c.next[:]...)
	return append(line, "\"}\n"...)
}

// advance notes that the record sealed last is written.
func (c *chain) advance() { c.seq, c.last = c.seq+1, c.next }

// A link is what a record says of its place in a chain.
type link struct {
	chain     id
	seq       uint64
	prev, sum sum
	keyed     bool
	torn      int64
	hashed    int // bytes of the line that the hash is of
}

// parseLink reads the link at the end of a line, and reports whether one is there.
func parseLink(line []byte) (l link, ok bool) {
	rest, ok := bytes.CutSuffix(line, []byte(`"}`))
	if !ok || len(rest) < sumLen {
		return l, false
	}
	rest = cutSum(rest, &l.sum)
	if rest, ok = bytes.CutSuffix(rest, []byte(hashName)); !ok {
		if rest, ok = bytes.CutSuffix(rest, []byte(hmacName)); !ok {
			return l, false
		}
		l.keyed = true
	}
	l.hashed = len(rest)
	if rest, ok = bytes.CutSuffix(rest, []byte(`"`)); !ok || len(rest) < sumLen {
		return l, false
	}
	if rest, ok = bytes.CutSuffix(cutSum(rest, &l.prev), []byte(`,"prev":"`)); !ok {
		return l, false
	}
	if rest, l.seq, ok = cutNumber(rest, `,"seq":`); !ok || l.seq == 0 {
		return l, false
	}
	if rest, ok = bytes.CutSuffix(rest, []byte(`"`)); !ok || len(rest) < idLen {
		return l, false
	}
	l.chain = id(rest[len(rest)-idLen:])
	if rest, ok = bytes.CutSuffix(rest[:len(rest)-idLen], []byte(`,"chain":"`)); !ok {
		return l, false
	}
	if _, n, ok := cutNumber(rest, `,"torn":`); ok {
		l.torn = int64(n)
	}
	return l, plain(string(l.chain[:]))
}

func cutSum(text []byte, s *sum) []byte {
	*s = sum(text[len(text)-sumLen:])
	return text[:len(text)-sumLen]
}

// cutNumber cuts a number, and the name before it, off the end of a text.
func cutNumber(text []byte, name string) (rest []byte, n uint64, ok bool) {
	digits := len(text)
	for digits > 0 && text[digits-1] >= '0' && text[digits-1] <= '9' {
		digits--
	}
	n, err := strconv.ParseUint(string(text[digits:]), 10, 63)
	rest, ok = bytes.CutSuffix(text[:digits], []byte(name))
	return rest, n, ok && err == nil
}

// signed reports whether the line is the one that its link was made for.
func (l *link) signed(h *hasher, line []byte) bool {
	return l.keyed == (h.name == hmacName) && h.sum(line[:l.hashed]) == l.sum
}
