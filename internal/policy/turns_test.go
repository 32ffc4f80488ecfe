package policy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

func TestReadAll(t *testing.T) {
	for _, size := range []int{0, 1, 4096, turn - 1, turn, maxPiece, maxPiece + 1, 3*maxPiece + 7} {
		want := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(want), "half": iotest.HalfReader(bytes.NewReader(want)), "with EOF": iotest.DataErrReader(bytes.NewReader(want)),
		} {
			got, err := readAll(r, int64(size))
			if err != nil || got == nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %s: %d bytes, %v", size, name, len(got), err)
			}
		}
		h := sha256.New()
		if feed(h, want); !slices.Equal(h.Sum(nil), sum(want)) {
			t.Errorf("%d bytes: another digest", size)
		}
		if got, err := readAll(bytes.NewReader(append(want, 0)), int64(size)); err == nil {
			t.Errorf("%d bytes of %d", len(got), size)
		}
		for _, cut := range []error{io.ErrUnexpectedEOF, errors.New("cut")} {
			if got, err := readAll(io.MultiReader(bytes.NewReader(want), iotest.ErrReader(cut)), int64(size)+1); !errors.Is(err, cut) {
				t.Errorf("%d bytes of a text cut off, %v", len(got), err)
			}
		}
	}
}

func sum(text []byte) []byte {
	h := sha256.Sum256(text)
	return h[:]
}
