package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"kooperd.dev/kooperd/pkg/expression"
)

const (
	// longestName is how long a name is that name() makes: no longer than that of a Service, or
	// than the value of a label.
	longestName = 63
	// hashLength is how much of the hash is in a name that was cut.
	hashLength = 8
	// mostParts is how many arguments name() takes.
	mostParts = 8
)

// nameFunction declares name(a, b, …): the parts with a dash between them, and cut with a hash when
// that is too long.
func nameFunction() expression.Function {
	var overloads []cel.FunctionOpt
	args := []*cel.Type{}
	for n := 1; n <= mostParts; n++ {
		args = append(args, cel.StringType)
		overloads = append(overloads, cel.Overload("name_"+strings.Repeat("s", n), append([]*cel.Type{}, args...), cel.StringType,
			cel.FunctionBinding(func(parts ...ref.Val) ref.Val {
				words := make([]string, len(parts))
				for i, part := range parts {
					word, ok := part.(types.String)
					if !ok {
						return types.MaybeNoSuchOverloadErr(part)
					}
					words[i] = string(word)
				}
				return types.String(joinedName(words))
			})))
	}
	return expression.Function{Name: "name", Options: overloads}
}

// joinedName joins the parts of a name. Different parts have different names when they are cut;
// else two of them can be one, as "a-b" and "c" are "a" and "b-c".
func joinedName(parts []string) string {
	name := strings.Join(parts, "-")
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	kept := strings.TrimRight(name[:longestName-hashLength-1], "-.")
	return kept + "-" + hex.EncodeToString(sum[:])[:hashLength]
}

// Language returns the language of all templates: that of every expression, with name() and with
// the functions that generate values, which make the same ones each time here. There is one, which
// is safe for concurrent use.
func Language() (*expression.Language, error) { return theLanguage() }
