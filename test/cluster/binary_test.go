package cluster

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestFindBinary(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		t.Setenv(BinaryEnv, filepath.Join(t.TempDir(), "devcluster"))
		_, err := findBinary()
		if err == nil || !strings.Contains(err.Error(), "run: make bin/devcluster") {
			t.Errorf("error is %v, want it to say what to run", err)
		}
	})
	t.Run("no repository", func(t *testing.T) {
		t.Setenv(BinaryEnv, "")
		t.Chdir(t.TempDir())
		_, err := findBinary()
		if err == nil || !strings.Contains(err.Error(), BinaryEnv) {
			t.Errorf("error is %v, want it to name %s", err, BinaryEnv)
		}
	})
	t.Run("root", func(t *testing.T) {
		root, err := RepositoryRoot()
		if err != nil {
			t.Fatal(err)
		}
		wd, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		if got := filepath.Join(root, "test", "cluster"); got != wd {
			t.Errorf("root is %s, want the directory above test/cluster, which is %s", root, wd)
		}
	})
}
