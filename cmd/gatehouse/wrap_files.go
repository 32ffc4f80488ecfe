package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// wrapFiles are the files that a wrapper writes: its standard output and error are
// the server's.
type wrapFiles struct {
	records *audit.Log
	log     *slog.Logger
	logFile io.Closer
}

const (
	maxWrappers   = 256      // of one name at once
	maxWrapLog    = 16 << 20 // bytes of a log that is gone on with
	maxWrapAudit  = 64 << 20 // bytes of a file of records, where no place and no limit are configured
	keepWrapAudit = 16       // such files
)

// openWrapFiles opens the file of records, and the log beside it. Records are a
// chain, which has one writer: while another wrapper has the file open, it is the
// next one, NAME.2.jsonl for NAME.jsonl.
func openWrapFiles(cfg *config.Config, f *wrapFlags) (*wrapFiles, error) {
	if cfg.Audit.Path == "" {
		dir, err := stateDir()
		if err == nil {
			err = os.MkdirAll(dir, 0o700)
		}
		if err != nil {
			return nil, fmt.Errorf("no place for decision records (name a file with --audit): %w", err)
		}
		cfg.Audit.Path = filepath.Join(dir, f.Server+".jsonl")
		if cfg.Audit.Rotate == (config.Rotate{}) {
			cfg.Audit.Rotate = config.Rotate{MaxBytes: maxWrapAudit, Keep: keepWrapAudit}
		}
	}
	first := cfg.Audit.Path
	for n := 1; ; n++ {
		cfg.Audit.Path = numbered(first, n)
		files, err := openNumbered(cfg, f.log)
		if !errors.Is(err, audit.ErrInUse) || n == maxWrappers {
			return files, err
		}
	}
}

func openNumbered(cfg *config.Config, logPath string) (*wrapFiles, error) {
	if logPath == "" {
		logPath = strings.TrimSuffix(cfg.Audit.Path, filepath.Ext(cfg.Audit.Path)) + ".log"
	}
	if info, err := os.Stat(logPath); err == nil && info.Mode().IsRegular() && info.Size() > maxWrapLog {
		_ = os.Rename(logPath, logPath+".old") // if it cannot, the log grows on
	}
	out, err := os.OpenFile(filepath.Clean(logPath), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(out, nil)).With("pid", os.Getpid())
	records, err := openAudit(&cfg.Audit, nil, log)
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	return &wrapFiles{records, log, out}, nil
}

// numbered is the nth path of those that begin with one.
func numbered(path string, n int) string {
	if n == 1 {
		return path
	}
	ext := filepath.Ext(path)
	return fmt.Sprintf("%s.%d%s", strings.TrimSuffix(path, ext), n, ext)
}

// stateDir is where programs of this user keep what they have to tell.
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gatehouse"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "gatehouse"), nil
	}
	return filepath.Join(home, ".local", "state", "gatehouse"), nil
}
