package manifest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/manifest"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A path stands for itself, whatever its name is, and a folder for what may be manifests in it.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yml", "below/deep/c.json", "README.md", "below/d.cue"} {
		write(t, filepath.Join(dir, "all", name), "a: b")
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("all", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"all":           {"all/a.yml", "all/b.yaml", "all/below/deep/c.json"},
		"link":          {"all/a.yml", "all/b.yaml", "all/below/deep/c.json"},
		"all/README.md": {"all/README.md"},
	} {
		have, err := manifest.Files(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		for i := range have {
			have[i] = strings.TrimPrefix(have[i], dir+"/")
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s (-want +have):\n%s", path, diff)
		}
	}
	if _, err := manifest.Files(filepath.Join(dir, "empty")); err == nil || err.Error() != "there is no YAML or JSON file in "+dir+"/empty" {
		t.Errorf("of an empty folder: %v", err)
	}
	if _, err := manifest.Files(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a path that is not there: %v", err)
	}
}

// The lines of a mistake are those of the file.
func TestDocuments(t *testing.T) {
	documents, err := manifest.Read(strings.NewReader("a: 1\n---\n# nothing\n---\n{\"b\": [2]}\n---\nc: d: e\n"))
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, d := range documents {
		text, err := d.JSON()
		if err != nil {
			text = []byte(err.Error())
		}
		have = append(have, string(text))
	}
	want := []string{`{"a":1}`, "null", `{"b":[2]}`, "yaml: line 7: mapping values are not allowed in this context"}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +have):\n%s", diff)
	}
	if line := documents[2].Line; line != 5 {
		t.Errorf("the third document begins at line %d, want 5", line)
	}
	if _, err := manifest.ReadFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a file that is not there: %v", err)
	}
}
