package daemon_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"kooperd.dev/kooperd/pkg/daemon"
)

// TestPrintHash prints the hash of the same file in two places, and of another one.
func TestPrintHash(t *testing.T) {
	hashOf := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, status := runArgs(t, "print", "-o", "hash", path)
		if status != daemon.ExitOK || stderr != "" || !regexp.MustCompile(`^[0-9a-f]{64}\n$`).MatchString(stdout) {
			t.Fatalf("exit status %d, standard error %q, output %q", status, stderr, stdout)
		}
		return stdout
	}
	const text = "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n"
	hash := hashOf("controllers.yaml", text)
	if elsewhere := hashOf("mounted.yaml", text); elsewhere != hash {
		t.Errorf("the hash of the same text elsewhere is %s, want %s", elsewhere, hash)
	}
	if other := hashOf("controllers.yaml", text+"# more\n"); other == hash {
		t.Error("the hash of another text is the same")
	}
}
