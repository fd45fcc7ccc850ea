package apply

import (
	"crypto/rand"
	"strings"
	"testing"
)

// Each character is as likely as any other, also where their number is no power of two.
func TestPasswordsAreUniform(t *testing.T) {
	const alphabet, passwords = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!?#", 2000
	counts := map[rune]int{}
	for range passwords {
		made, err := generatePassword(rand.Reader, longestPassword, alphabet)
		if err != nil || len(made) != longestPassword {
			t.Fatalf("%d characters, %v", len(made), err)
		}
		for _, c := range made {
			counts[c]++
		}
	}
	// With 7877 of each on average, the deviation is 88. Taken modulo 65 without rejection, 61
	// characters would be a third likelier than the others.
	const average = passwords * longestPassword / len(alphabet)
	for _, c := range alphabet {
		if n := counts[c]; n < average*9/10 || n > average*11/10 {
			t.Errorf("%c is there %d times, want about %d", c, n, average)
		}
	}
	if len(counts) != len(alphabet) {
		t.Errorf("there are %d characters", len(counts))
	}
}

// What stands for random bytes always makes the same.
func TestNoRandom(t *testing.T) {
	made, err := generatePassword(noRandom{}, 8, "xyz")
	if err != nil || made != strings.Repeat("x", 8) {
		t.Errorf("%q, %v", made, err)
	}
	if id, err := generateUUID(noRandom{}); err != nil || id != "00000000-0000-4000-8000-000000000000" {
		t.Errorf("%q, %v", id, err)
	}
}
