package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// program is one of those that are measured.
type program string

// The programs by the folders of their main packages.
const (
	kooperd  program = "benchd"
	manager  program = "manager"
	informer program = "informer"
	shipped  program = "kooperd" // as it is shipped, without plugins of the benchmark
	kro      program = "kro"

	forgetful program = "forgetful" // kooperd of the benchmark, without a history of calls
)

// programs are those of most rows, in the order of the table's columns; templated are those of rows
// about templates. The first one is that which is compared with the others.
var (
	programs  = []program{kooperd, manager, informer}
	templated = []program{shipped, kro, informer}
)

// source is where a program is built.
type source struct{ folder, target string }

// source returns where the program is built.
func (p program) source() source {
	switch p {
	case shipped:
		return source{"../..", "./cmd/kooperd"}
	case forgetful:
		return kooperd.source()
	case kro:
		return source{kroFolder, kroCommand}
	default:
		return source{".", "./" + string(p)}
	}
}

// build compiles the programs of the rows as they are shipped.
func (b *bench) build(ctx context.Context, rows []row) error {
	b.built = slices.Clone(programs)
	for _, r := range rows {
		for _, p := range r.measured {
			if !slices.Contains(b.built, p) {
				b.built = append(b.built, p)
			}
		}
	}
	if b.bin != "" {
		return nil
	}
	b.bin = b.dir
	version := ""
	if out, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty").Output(); err == nil {
		version = "-X kooperd.dev/kooperd/pkg/daemon.version=" + strings.TrimSpace(string(out))
	}
	for _, p := range b.built {
		progressf("building %s", p)
		flags := version
		if p == shipped || p == kro {
			flags = "-s -w " + version // As a release is built.
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", flags, "-o", filepath.Join(b.bin, string(p)), p.source().target)
		cmd.Dir = p.source().folder
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", p, err, out)
		}
	}
	return nil
}
