// Package docs_test does what the documentation says: it runs the commands of every page on a real
// API server, compares what they print with what the page shows, and checks every config, manifest
// and piece of Go. README.md in this folder has the few marks that pages carry for it.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// clusters are as many as pages are followed at a time: a page has a whole cluster for itself, and
// mostly waits. Those that no page has are in free.
var (
	clusters [4]*cluster.Cluster
	free     = make(chan *cluster.Cluster, len(clusters))
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(len(clusters))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var all []**cluster.Cluster
	for i := range clusters {
		all = append(all, &clusters[i])
	}
	os.Exit(cluster.Main(m, cluster.Options{}, all...))
}

// shareClusters makes the clusters free for pages, once.
var shareClusters = sync.OnceFunc(func() {
	for _, c := range clusters {
		free <- c
	}
})

// maxSkips is how many blocks may be left out, all pages together. Each needs a reason, which the
// test logs.
const maxSkips = 20

// pagePatterns are the pages, relative to the root of the repository.
var pagePatterns = []string{
	"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/*.md", "docs/decisions/*.md", "docs/reference/*.md", "docs/reference/plugins/*.md",
	"examples/*/README.md", "pkg/handlers/*/README.md", "charts/*/README.md", "devcluster/README.md",
}

// pages lists all pages, relative to the root.
func pages(t *testing.T) []string {
	t.Helper()
	root := daemon.Root(t)
	var all []string
	for _, pattern := range pagePatterns {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rel)
		}
	}
	if len(all) < 20 {
		t.Fatalf("found only %d pages: %q", len(all), all)
	}
	return all
}

// readPage reads and parses one page.
func readPage(t *testing.T, rel string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(daemon.Root(t), rel))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s:%v", rel, err)
	}
	return blocks
}

// TestPages does what each page says, from its top to its end.
func TestPages(t *testing.T) {
	t.Parallel()
	var skipped atomic.Int32
	t.Cleanup(func() {
		if n := skipped.Load(); n > maxSkips {
			t.Errorf("%d blocks are skipped, want at most %d", n, maxSkips)
		}
	})
	for _, rel := range pages(t) {
		t.Run(strings.ReplaceAll(rel, "/", " "), func(t *testing.T) {
			blocks := readPage(t, rel)
			if !slices.ContainsFunc(blocks, func(b block) bool { return b.tested() }) {
				return
			}
			t.Parallel()
			s := newSession(t, rel)
			for _, b := range blocks {
				if b.skip != "" {
					skipped.Add(1)
					t.Logf("%s:%d: skipped: %s", rel, b.line, b.skip)
					continue
				}
				s.do(t, b)
			}
		})
	}
}

// do checks one block, by its language.
func (s *session) do(t testing.TB, b block) {
	t.Helper()
	if b.hidden != "" {
		s.script(t, b, b.hidden)
		return
	}
	if b.job != "" {
		s.start(t, b, b.job)
		return
	}
	if b.stop {
		s.stopAll(t)
		return
	}
	if b.release {
		if b.language != "sh" || b.file != "" || b.background {
			s.fatalf(t, b, "the mark \"release\" stands before a block of sh, alone")
		}
		return
	}
	if b.needs != "" {
		if _, err := exec.LookPath(b.needs); err != nil {
			t.Skipf("%s:%d: the rest of the page needs %s: %v", s.page, b.line, b.needs, err)
		}
		return
	}
	if b.file != "" {
		s.write(t, b)
	}
	switch b.language {
	case "sh":
		s.shell(t, b)
	case "console":
		s.console(t, b)
	case "cue":
		s.cue(t, b)
	case "yaml":
		s.yaml(t, b)
	case "json":
		s.json(t, b)
	case "go":
		s.goCode(t, b)
	case "text":
		s.logged(t, b)
	case "python", "javascript":
		if b.file == "" {
			s.fatalf(t, b, "a program that is not run: write it to a file by a mark, and run that")
		}
	case "promql", "dockerfile", "make":
	default:
		s.fatalf(t, b, "a block of %q: this test knows sh, console, cue, yaml, json, go and text", b.language)
	}
}

// TestLinks looks for the files and headings that links within the repository lead to.
func TestLinks(t *testing.T) {
	root := daemon.Root(t)
	for _, rel := range pages(t) {
		text, err := os.ReadFile(filepath.Join(root, rel))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links(string(text)) {
			path, anchor, _ := strings.Cut(link, "#")
			target := filepath.Join(root, rel)
			if path != "" {
				target = filepath.Join(root, filepath.Dir(rel), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %q leads nowhere: %v", rel, link, err)
				continue
			}
			if anchor == "" || filepath.Ext(target) != ".md" {
				continue
			}
			there, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(anchors(string(there)), anchor) {
				t.Errorf("%s: the link %q leads to no heading", rel, link)
			}
		}
	}
}
