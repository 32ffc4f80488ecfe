package audit

import (
	"bytes"
	"fmt"
	"os"
)

const minKey = 16 // bytes

// ReadKey reads the key of a chain from a file, without the end of its line.
func ReadKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read chain key: %w", err)
	}
	if key = bytes.TrimRight(key, "\r\n"); len(key) < minKey {
		return nil, fmt.Errorf("read chain key: %s has %d bytes, and %d or more are needed", path, len(key), minKey)
	}
	return key, nil
}
