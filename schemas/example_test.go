package schemas_test

import (
	"fmt"
	"io/fs"
	"strings"

	"kooperd.dev/kooperd/schemas"
)

// The language is CUE source; pkg/config compiles it.
func Example() {
	files, err := fs.Glob(schemas.FS, "*.cue")
	if err != nil {
		panic(err)
	}
	fmt.Println(files)
	fmt.Println(strings.Contains(schemas.Common, "#Duration:"))
	// Output:
	// [common.cue config.cue handler.cue kinds.cue names.cue]
	// true
}
