package apply

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"kooperd.dev/kooperd/pkg/expression"
)

const (
	// generateNamespace is what the names of all functions begin with whose values are random.
	generateNamespace = "generate"
	// lettersAndDigits need no quotes anywhere.
	lettersAndDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

	shortestPassword, longestPassword = 8, 256
	fewestBytes, mostBytes            = 4, 256
)

// noRandom is what stands for random bytes where an expression is evaluated to find out whether it
// fails: an answer of Compose depends on nothing but the request.
type noRandom struct{}

func (noRandom) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}

// generateFunctions declares the functions that make values of random bytes.
func generateFunctions(random io.Reader) []expression.Function {
	password := func(length, alphabet ref.Val) (string, error) {
		n, err := within(length, shortestPassword, longestPassword, "characters")
		if err != nil {
			return "", err
		}
		text, _ := alphabet.(types.String)
		return generatePassword(random, n, string(text))
	}
	encoded := func(encode func([]byte) string) cel.OverloadOpt {
		return cel.UnaryBinding(func(count ref.Val) ref.Val {
			n, err := within(count, fewestBytes, mostBytes, "bytes")
			if err != nil {
				return types.WrapErr(err)
			}
			made := make([]byte, n)
			_, err = io.ReadFull(random, made)
			return generatedText(encode(made), err)
		})
	}
	one, two := []*cel.Type{cel.IntType}, []*cel.Type{cel.IntType, cel.StringType}
	return []expression.Function{
		{Name: "generate.password", Options: []cel.FunctionOpt{
			cel.Overload("generate_password", one, cel.StringType, cel.UnaryBinding(func(length ref.Val) ref.Val {
				return generatedText(password(length, types.String(lettersAndDigits)))
			})),
			cel.Overload("generate_password_of", two, cel.StringType, cel.BinaryBinding(func(length, alphabet ref.Val) ref.Val {
				return generatedText(password(length, alphabet))
			})),
		}},
		{Name: "generate.hex", Options: []cel.FunctionOpt{cel.Overload("generate_hex", one, cel.StringType, encoded(hex.EncodeToString))}},
		{Name: "generate.base64", Options: []cel.FunctionOpt{
			cel.Overload("generate_base64", one, cel.StringType, encoded(base64.StdEncoding.EncodeToString)),
		}},
		{Name: "generate.uuid", Options: []cel.FunctionOpt{
			cel.Overload("generate_uuid", nil, cel.StringType, cel.FunctionBinding(func(...ref.Val) ref.Val {
				return generatedText(generateUUID(random))
			})),
		}},
	}
}

func generatedText(text string, err error) ref.Val {
	if err != nil {
		return types.WrapErr(err)
	}
	return types.String(text)
}

// within returns a number that has bounds.
func within(v ref.Val, least, most int64, of string) (int, error) {
	n, ok := v.(types.Int)
	if !ok || int64(n) < least || int64(n) > most {
		return 0, fmt.Errorf("want %d to %d %s", least, most, of)
	}
	return int(n), nil
}

// generatePassword makes a text of so many characters of an alphabet, each as likely as any other.
func generatePassword(random io.Reader, length int, alphabet string) (string, error) {
	characters, seen := []rune(alphabet), map[rune]bool{}
	for _, c := range characters {
		if seen[c] {
			return "", fmt.Errorf("the alphabet has %q twice", c)
		}
		seen[c] = true
	}
	if len(characters) < 2 || len(characters) > 256 {
		return "", fmt.Errorf("the alphabet has %d characters, want 2 to 256", len(characters))
	}
	made, bytes := make([]rune, 0, length), make([]byte, 2*length)
	limit := 256 - 256%len(characters) // Bytes from there on would make the first ones likelier.
	for len(made) < length {
		if _, err := io.ReadFull(random, bytes); err != nil {
			return "", err
		}
		for _, b := range bytes {
			if int(b) < limit && len(made) < length {
				made = append(made, characters[int(b)%len(characters)])
			}
		}
	}
	return string(made), nil
}

// generateUUID makes a UUID of version 4.
func generateUUID(random io.Reader) (string, error) {
	var made [16]byte
	if _, err := io.ReadFull(random, made[:]); err != nil {
		return "", err
	}
	made[6], made[8] = made[6]&0x0f|0x40, made[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", made[:4], made[4:6], made[6:8], made[8:10], made[10:]), nil
}
