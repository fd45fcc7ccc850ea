package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// BinaryEnv names the environment variable with the path of the devcluster binary to use. Without
// it, it is bin/devcluster of the repository.
const BinaryEnv = "KOOPERD_DEVCLUSTER"

// rootModule is the first line of the go.mod in the repository's root.
const rootModule = "module kooperd.dev/kooperd"

// findBinary returns the path of devcluster.
func findBinary() (string, error) {
	path := os.Getenv(BinaryEnv)
	if path == "" {
		root, err := RepositoryRoot()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "devcluster")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("looking for devcluster: %w; run: make bin/devcluster", err)
	}
	return filepath.Abs(path)
}

// RepositoryRoot returns the top folder of the repository. It walks up from the working directory,
// which for a test is its package's.
func RepositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the repository: %w", err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("looking for the repository: %w", err)
		}
		if first, _, _ := bytes.Cut(data, []byte("\n")); string(bytes.TrimSpace(first)) == rootModule {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("looking for the repository: no parent directory has a go.mod of %q; set %s", rootModule, BinaryEnv)
		}
		dir = parent
	}
}
