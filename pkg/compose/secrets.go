package compose

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/handlers"
)

const (
	// leastSecret is from how many bytes on a text is a secret: shorter ones are everywhere.
	leastSecret = 6
	// redacted stands where a secret was.
	redacted = "[REDACTED]"
)

// redactor knows what a pass has read from Secrets, and what its composer says is secret. All texts
// that leave the pass go through clean: conditions, events, errors and log lines, whoever has made
// them. What is secret is found out when there is a text to clean. It is safe for concurrent use.
type redactor struct {
	mu      sync.Mutex
	sources []func() []string // of what is secret
	read    int               // how many of them are among texts
	texts   []string          // longest first
}

// add adds an object, if it is a Secret.
func (s *redactor) add(object handlers.Object) {
	if object != nil && object.GroupVersionKind().GroupKind() == ofSecrets {
		s.addSource(inSecret(object.JSON))
	}
}

// addValues adds what a composer says is secret.
func (s *redactor) addValues(values ...handlers.SecretValue) {
	for _, value := range values {
		s.addSource(func() []string { return appendForms(nil, value.Reveal()) })
	}
}

// addAll adds objects of one kind.
func (s *redactor) addAll(objects []handlers.Object) {
	if len(objects) == 0 || objects[0].GroupVersionKind().GroupKind() != ofSecrets {
		return
	}
	for _, object := range objects {
		s.add(object)
	}
}

// addDesired adds an object as the composer wants it.
func (s *redactor) addDesired(desired runtime.Object) {
	if desired == nil {
		return
	}
	// A struct of Kubernetes itself may leave out its kind.
	kind := desired.GetObjectKind().GroupVersionKind().Kind
	if kind == ofSecrets.Kind || kind == "" && strings.HasSuffix(fmt.Sprintf("%T", desired), "v1.Secret") {
		s.addSource(inSecret(func() ([]byte, error) { return json.Marshal(desired) }))
	}
}

func (s *redactor) addSource(source func() []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources = append(s.sources, source)
}

// all returns what is secret.
func (s *redactor) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read == len(s.sources) {
		return s.texts
	}
	for ; s.read < len(s.sources); s.read++ {
		s.texts = append(s.texts, s.sources[s.read]()...)
	}
	s.texts = slices.DeleteFunc(s.texts, func(text string) bool { return len(text) < leastSecret })
	slices.SortFunc(s.texts, func(a, b string) int {
		if order := cmp.Compare(len(b), len(a)); order != 0 {
			return order
		}
		return strings.Compare(a, b)
	})
	s.texts = slices.Compact(s.texts)
	return s.texts
}

// inSecret returns what is secret in an object of that kind, of which read returns the JSON.
func inSecret(read func() ([]byte, error)) func() []string {
	return func() (texts []string) {
		var secret struct {
			Data       map[string]string `json:"data"`
			StringData map[string]string `json:"stringData"`
		}
		text, err := read()
		if err != nil || json.Unmarshal(text, &secret) != nil {
			return nil // It was not read, then.
		}
		for _, encoded := range secret.Data {
			texts = append(texts, encoded)
			if decoded, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				texts = appendForms(texts, string(decoded))
			}
		}
		for _, value := range secret.StringData {
			texts = appendForms(texts, value)
		}
		return texts
	}
}

// appendForms appends the forms in which a value is quoted: as it is, without the space around it,
// escaped, in base64, and each line of it by itself.
func appendForms(texts []string, value string) []string {
	forms := []string{value, strings.TrimSpace(value)}
	for line := range strings.Lines(value) {
		forms = append(forms, strings.TrimSpace(line))
	}
	for _, form := range forms {
		if len(form) < leastSecret {
			continue
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(form))
		texts = append(texts, form, encoded, strings.TrimRight(encoded, "="), inner(strconv.Quote(form)))
		if text, err := json.Marshal(form); err == nil { // An answer in JSON may be quoted as a whole.
			texts = append(texts, inner(string(text)), inner(strconv.Quote(inner(string(text)))))
		}
	}
	return texts
}

// inner is a quoted text without the quotes.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// clean returns a text without what is secret.
func (s *redactor) clean(text string) string {
	if s == nil || len(text) < leastSecret {
		return text
	}
	var spans []span
	for _, secret := range s.all() {
		for from := 0; len(secret) <= len(text)-from; {
			i := strings.Index(text[from:], secret)
			if i < 0 {
				break
			}
			spans = append(spans, span{from + i, from + i + len(secret)})
			from += i + 1
		}
		spans = appendCut(spans, text, secret)
	}
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	at := 0
	for i := 0; i < len(spans); {
		from, to := spans[i].from, spans[i].to
		for i++; i < len(spans) && spans[i].from <= to; i++ {
			to = max(to, spans[i].to)
		}
		b.WriteString(text[at:from])
		b.WriteString(redacted)
		at = to
	}
	b.WriteString(text[at:])
	return b.String()
}

// cleanConditions returns conditions whose texts have nothing secret in them: those that a composer
// gives, and those of kooperd.
func (s *redactor) cleanConditions(given []any, own []condition) ([]any, []condition) {
	own, given = slices.Clone(own), slices.Clone(given)
	for i := range own {
		own[i].message = s.clean(own[i].message)
	}
	for i, item := range given {
		fields, ok := item.(map[string]any)
		if !ok {
			continue
		}
		fields = maps.Clone(fields)
		for name, value := range fields {
			if text, ok := value.(string); ok {
				fields[name] = s.clean(text)
			}
		}
		if reason, _ := fields["reason"].(string); strings.Contains(reason, redacted) {
			fields["reason"] = "Redacted" // What stands for a secret elsewhere is no reason.
		}
		given[i] = fields
	}
	return given, own
}

// cleanError is an error whose text was cleaned.
type cleanError struct {
	text string
	err  error
}

func (e *cleanError) Error() string { return e.text }
func (e *cleanError) Unwrap() error { return e.err }

// cleanError returns an error whose text has nothing secret in it.
func (s *redactor) cleanError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if cleaned := s.clean(text); cleaned != text {
		return &cleanError{text: cleaned, err: err}
	}
	return err
}

// panicAgain goes on with a panic that was recovered, without what is secret. A nil value is none.
func (s *redactor) panicAgain(value any) {
	if value == nil {
		return
	}
	text := fmt.Sprint(value)
	if cleaned := s.clean(text); cleaned != text {
		value = cleaned
	}
	panic(value)
}
