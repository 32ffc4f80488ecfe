// Command image packs static binaries into a container image, as an OCI archive: one file that registries and engines
// take, made without either. The same input gives the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run takes the platforms as arguments of the form linux/amd64=binary.
func run(args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	out := flags.String("o", "", "`file` for the archive")
	version := flags.String("version", "", "`version` of the binaries")
	seconds := flags.Int64("time", 0, "when the image was made, in `seconds` since 1970")
	if err := flags.Parse(args); err != nil {
		return err
	}
	made := time.Unix(*seconds, 0).UTC()
	l := newLayout()
	for _, arg := range flags.Args() {
		platform, path, ok := strings.Cut(arg, "=")
		system, machine, ok2 := strings.Cut(platform, "/")
		if !ok || !ok2 {
			return fmt.Errorf("%q is not of the form linux/amd64=binary", arg)
		}
		binary, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := l.add(system, machine, *version, made, binary); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	archive, err := l.archive(*version)
	if err != nil {
		return err
	}
	return os.WriteFile(*out, archive, 0o644)
}
