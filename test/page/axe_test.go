package page_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// axe returns the script of axe-core in the version, and with the hash, that axe/package-lock.json
// names, from npm or from where it was put before; or why there is none.
var axe = sync.OnceValues(func() (script, missing string) {
	folder, err := axeFolder()
	if err != nil {
		return "", fmt.Sprintf("there is no axe-core: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return "", fmt.Sprintf("there is no axe-core: %v", err)
	}
	return string(text), ""
})

// axeFolder is where axe-core is installed.
func axeFolder() (string, error) {
	lock, err := os.ReadFile("axe/package-lock.json")
	if err != nil {
		return "", err
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(lock)
	folder := filepath.Join(caches, "kooperd-tests", "axe-"+hex.EncodeToString(hash[:6]))
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	// It is complete before it has its name, for others that install it at the same time.
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(folder), "installing-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }() // Nobody looks for it.
	manifest, err := os.ReadFile("axe/package.json")
	if err != nil {
		return "", err
	}
	for name, text := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(work, name), text, 0o644); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = work
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %.500s", err, out)
	}
	if err := os.Rename(work, folder); err != nil && !os.IsExist(err) {
		if _, statErr := os.Stat(folder); statErr != nil {
			return "", err
		}
	}
	return folder, nil
}
