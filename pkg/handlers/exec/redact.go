package exec

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/handlers"
)

const redacted = "[REDACTED]"

// redactor replaces secrets in lines.
type redactor struct {
	secrets [][]byte // lines of secret values, the longest first
	longest int
}

// minSecretLine is the length from which a line of a secret of several lines is replaced: the "}"
// at the end of a JSON document gives nothing away, and would make every other "}" unreadable.
const minSecretLine = 4

// newRedactor returns a redactor of the values. Output is redacted line by line, so a value of
// several lines, such as a private key, is redacted in its lines.
func newRedactor(values []handlers.SecretValue) redactor {
	var r redactor
	for _, value := range values {
		lines := strings.Split(value.Reveal(), "\n")
		for _, line := range lines {
			line = strings.TrimRight(line, "\r")
			if line == "" || (len(lines) > 1 && len(line) < minSecretLine) {
				continue
			}
			r.secrets = append(r.secrets, []byte(line))
			r.longest = max(r.longest, len(line))
		}
	}
	slices.SortFunc(r.secrets, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) })
	return r
}

// text returns the first limit bytes of line as text, with every secret that begins in them
// replaced. Bytes that are no UTF-8 become �.
func (r redactor) text(line []byte, limit int) string {
	line = bytes.TrimRight(line, "\r")
	var b strings.Builder
	for i := 0; i < min(len(line), limit); {
		if n := r.match(line[i:]); n > 0 {
			b.WriteString(redacted)
			i += n
			continue
		}
		b.WriteByte(line[i])
		i++
	}
	return strings.ToValidUTF8(b.String(), "�")
}

// match returns the length of the secret that p begins with, or 0.
func (r redactor) match(p []byte) int {
	for _, secret := range r.secrets {
		if bytes.HasPrefix(p, secret) {
			return len(secret)
		}
	}
	return 0
}
