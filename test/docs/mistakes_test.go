package docs_test

import (
	"strings"
	"testing"
)

// TestMistakesAreShown wants the message of each mistake of a page, which TestPages looks for in
// what kooperd says, in the block of text behind it.
func TestMistakesAreShown(t *testing.T) {
	const page = "docs/template-mistakes.md"
	blocks, mistakes := readPage(t, page), 0
	for i, b := range blocks {
		if b.mistake == "" {
			continue
		}
		mistakes++
		if i+1 == len(blocks) || strings.TrimSpace(blocks[i+1].text) != b.mistake {
			t.Errorf("%s:%d: the block behind this one is not the message %s", page, b.line, b.mistake)
		}
	}
	if mistakes != 20 {
		t.Errorf("%s has %d mistakes, and says that there are twenty", page, mistakes)
	}
}

// TestNothingIsHidden wants what a reader has to do to stand on the page: a hidden command may put
// off, wait, or clean up.
func TestNothingIsHidden(t *testing.T) {
	for _, rel := range pages(t) {
		for _, b := range readPage(t, rel) {
			for _, step := range []string{"kubectl create namespace", "go build", "kooperd crds", "mkdir -p"} {
				if strings.Contains(b.hidden, step) {
					t.Errorf("%s:%d: readers do not see %q, and need it", rel, b.line, step)
				}
			}
		}
	}
}
