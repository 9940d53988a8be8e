// Verify checks a ledger with the transparency log packages of the Go project, and with nothing of
// Countersign: a second program that must come to the same answers from the same public formats.
//
//	verify checkpoint  VKEY NOTE-FILE
//	verify note        VKEY NOTE-FILE
//	verify inclusion   VKEY PROOF-FILE LEAF-FILE
//	verify consistency VKEY OLD-NOTE-FILE NEW-NOTE-FILE PROOF-FILE
//	verify tiles       VKEY BASE-URL
//	verify bundles     VKEY BASE-URL
//
// Note is for evidence reports: it says the text that is signed, whatever it is.
//
// The environment variable TOKEN holds the bearer token for bundles. The exit status is 0 and one line says
// what was checked, or it is 1 and one line says what is wrong; it is 2 for a wrong command line.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	// tlog-tiles has tiles of 2^8 hashes only.
	tileHeight = 8
	tileWidth  = 1 << tileHeight

	noteBytesMax  = 1 << 20
	entryBytesMax = 1<<16 - 1

	// So many leaves are asked for at once, which bounds the memory.
	leavesAtOnce = 1 << 16
)

var checks = map[string]struct {
	words int
	check func(words []string) (string, error)
}{
	"checkpoint":  {2, checkpoint},
	"note":        {2, signedText},
	"inclusion":   {3, inclusion},
	"consistency": {4, consistency},
	"tiles":       {2, tiles},
	"bundles":     {2, bundles},
}

func main() {
	if len(os.Args) < 2 || len(os.Args)-2 != checks[os.Args[1]].words {
		fmt.Fprintln(os.Stderr, "usage: verify checkpoint|note|inclusion|consistency|tiles|bundles VKEY ...")
		os.Exit(2)
	}
	checked, err := checks[os.Args[1]].check(os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
	fmt.Println(checked)
}

func checkpoint(words []string) (string, error) {
	tree, err := openFile(words[0], words[1])
	return fmt.Sprintf("checkpoint of %d entries, root %v", tree.N, tree.Hash), err
}

// signedText is that of a note which is no checkpoint.
func signedText(words []string) (string, error) {
	signed, err := os.ReadFile(words[1])
	if err != nil {
		return "", err
	}
	verifier, err := note.NewVerifier(words[0])
	if err != nil {
		return "", err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(opened.Text, "\n"), nil
}

func inclusion(words []string) (string, error) {
	text, err := os.ReadFile(words[1])
	if err != nil {
		return "", err
	}
	leaf, err := os.ReadFile(words[2])
	if err != nil {
		return "", err
	}
	index, proof, signed, err := parseProof(string(text))
	if err != nil {
		return "", err
	}
	tree, err := open(words[0], []byte(signed))
	if err != nil {
		return "", err
	}
	err = tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaf))
	return fmt.Sprintf("the leaf is entry %d of %d, root %v", index, tree.N, tree.Hash), err
}

func consistency(words []string) (string, error) {
	older, err := openFile(words[0], words[1])
	if err != nil {
		return "", fmt.Errorf("the older checkpoint: %w", err)
	}
	newer, err := openFile(words[0], words[2])
	if err != nil {
		return "", fmt.Errorf("the newer checkpoint: %w", err)
	}
	text, err := os.ReadFile(words[3])
	if err != nil {
		return "", err
	}
	hashes, err := parseHashes(lines(string(text)))
	if err != nil {
		return "", err
	}
	err = tlog.CheckTree(hashes, newer.N, newer.Hash, older.N, older.Hash)
	return fmt.Sprintf("the ledger only grew from %d to %d entries", older.N, newer.N), err
}

// tiles reads every leaf hash from the tiles. The package refuses tiles that do not lead to the signed root.
func tiles(words []string) (string, error) {
	log, err := openLog(words[0], words[1])
	if err != nil {
		return "", err
	}
	for first := int64(0); first < log.tree.N; first += leavesAtOnce {
		if _, err := log.leafHashes(first, leavesAtOnce); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d tiles lead to the root of %d entries", len(log.proved), log.tree.N), nil
}

// bundles reads every entry, and compares its hash with the one in the tile.
func bundles(words []string) (string, error) {
	log, err := openLog(words[0], words[1])
	if err != nil {
		return "", err
	}
	for first := int64(0); first < log.tree.N; first += tileWidth {
		hashes, err := log.leafHashes(first, tileWidth)
		if err != nil {
			return "", err
		}
		tile := tlog.Tile{H: tileHeight, L: 0, N: first / tileWidth, W: len(hashes)}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bundle, err := log.fetch(path, tileWidth*(2+entryBytesMax))
		if err != nil {
			return "", err
		}
		if err := checkBundle(bundle, hashes); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
	}
	return fmt.Sprintf("the bundles have the %d entries of the ledger", log.tree.N), nil
}

func checkBundle(bundle []byte, hashes []tlog.Hash) error {
	for place, hash := range hashes {
		if len(bundle) < 2 {
			return errors.New("the bundle has too few entries")
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < end {
			return errors.New("the bundle ends within an entry")
		}
		if tlog.RecordHash(bundle[2:end]) != hash {
			return fmt.Errorf("entry %d of the bundle has another hash than in the tile", place)
		}
		bundle = bundle[end:]
	}
	if len(bundle) > 0 {
		return errors.New("the bundle has more than its entries")
	}
	return nil
}

// open checks the signature, and that the text is a checkpoint of the log that the key is named after.
func open(vkey string, signed []byte) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	origin, sizeAndRoot, _ := strings.Cut(opened.Text, "\n")
	if origin != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("the checkpoint is of %q, not of %q", origin, verifier.Name())
	}
	// The package reads the checkpoints of one log only, which have their own first line.
	return tlog.ParseTree([]byte("go.sum database tree\n" + sizeAndRoot))
}

func openFile(vkey, path string) (tlog.Tree, error) {
	signed, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	return open(vkey, signed)
}

// parseProof reads a tlog-proof: header, extra data perhaps, index, hashes, an empty line, the checkpoint.
func parseProof(text string) (index int64, hashes []tlog.Hash, signed string, err error) {
	head, signed, found := strings.Cut(text, "\n\n")
	rest := lines(head)
	if !found || rest[0] != "c2sp.org/tlog-proof@v1" {
		return 0, nil, "", errors.New("not a tlog-proof")
	}
	rest = rest[1:]
	if len(rest) > 0 && strings.HasPrefix(rest[0], "extra ") {
		if _, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest[0], "extra ")); err != nil {
			return 0, nil, "", fmt.Errorf("the extra line: %w", err)
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return 0, nil, "", errors.New("the proof has no index")
	}
	index, err = strconv.ParseInt(strings.TrimPrefix(rest[0], "index "), 10, 64)
	if err != nil || rest[0] != fmt.Sprintf("index %d", index) {
		return 0, nil, "", fmt.Errorf("not the line of an index: %q", rest[0])
	}
	hashes, err = parseHashes(rest[1:])
	return index, hashes, signed, err
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, fmt.Errorf("not a hash: %q", line)
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// lines splits a text; the end of the last line is there or not.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// log is a ledger as it is published: the tree of its latest checkpoint, and the tiles below an address.
type log struct {
	prefix string
	tree   tlog.Tree
	proved map[tlog.Tile]bool
}

func openLog(vkey, base string) (*log, error) {
	log := &log{prefix: strings.TrimSuffix(base, "/") + "/ledger/", proved: map[tlog.Tile]bool{}}
	signed, err := log.fetch("checkpoint", noteBytesMax)
	if err != nil {
		return nil, err
	}
	log.tree, err = open(vkey, signed)
	return log, err
}

// leafHashes reads up to count hashes of leaves, all proved to be in the signed tree.
func (l *log) leafHashes(first, count int64) ([]tlog.Hash, error) {
	var indexes []int64
	for n := first; n < first+count && n < l.tree.N; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	return tlog.TileHashReader(l.tree, l).ReadHashes(indexes)
}

// Height is that of every tile in tlog-tiles.
func (l *log) Height() int { return tileHeight }

// ReadTiles reads tiles over HTTP. The paths are those of the Go checksum database without the height.
func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		hashes, err := l.fetch(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), tileWidth*tlog.HashSize)
		if err != nil {
			return nil, err
		}
		all = append(all, hashes)
	}
	return all, nil
}

// SaveTiles is told which tiles lead to the root.
func (l *log) SaveTiles(tiles []tlog.Tile, _ [][]byte) {
	for _, tile := range tiles {
		l.proved[tile] = true
	}
}

func (l *log) fetch(path string, bytesMax int64) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, l.prefix+path, nil)
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := (&http.Client{Timeout: time.Minute}).Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", request.URL, answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, bytesMax+1))
	if err == nil && int64(len(body)) > bytesMax {
		err = fmt.Errorf("%s: more than %d bytes", request.URL, bytesMax)
	}
	return body, err
}
