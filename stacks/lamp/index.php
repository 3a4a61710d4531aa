<?php
// Which PHP replica answers, and a counter in the database: text for curl, a page for a browser.
declare(strict_types=1);

const TABLE = 'CREATE TABLE IF NOT EXISTS counter (id TINYINT PRIMARY KEY, requests BIGINT UNSIGNED NOT NULL)';
// One statement, so that two replicas never count the same request number.
const COUNT = 'INSERT INTO counter VALUES (1, LAST_INSERT_ID(1))
    ON DUPLICATE KEY UPDATE requests = LAST_INSERT_ID(requests + 1)';
const NO_SUCH_TABLE = 1146;

/** Counts this request, and returns how many there have been. */
function counted(mysqli $database): int
{
    try {
        $database->query(COUNT);
    } catch (mysqli_sql_exception $error) {
        if ($error->getCode() !== NO_SUCH_TABLE) {
            throw $error;
        }
        $database->query(TABLE);
        $database->query(COUNT);
    }
    return (int) $database->insert_id;
}

function connected(): mysqli
{
    $database = mysqli_init();
    $database->options(MYSQLI_OPT_CONNECT_TIMEOUT, 5);
    $password = trim(file_get_contents('/run/secrets/password'));
    $database->real_connect('db', 'lamp', $password, 'lamp');
    return $database;
}

/** For drills: /slow?s=SECONDS */
function slow(): void
{
    $seconds = min(60, max(0, (int) ($_GET['s'] ?? 2)));
    $end = microtime(true) + $seconds;
    while (($left = $end - microtime(true)) > 0) {
        usleep((int) ($left * 1e6)); // ends early when the container is to be stopped
    }
    header('Content-Type: text/plain; charset=utf-8');
    echo getenv('TASK'), " answered after $seconds s\n";
}

function in_html(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES);
}

header('Cache-Control: no-store');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/slow') {
    slow();
    exit;
}
if ($path !== '/') {
    http_response_code(404);
    header('Content-Type: text/plain; charset=utf-8');
    echo "not found\n";
    exit;
}
$facts = ['node' => getenv('NODE'), 'task' => getenv('TASK'), 'container' => gethostname()];
try {
    $database = connected();
    $facts['requests'] = (string) counted($database);
    $container = $database->query('SELECT @@hostname')->fetch_row()[0];
    $facts['database'] = 'MariaDB ' . strtok($database->server_info, '-') . " in $container";
} catch (mysqli_sql_exception $error) {
    http_response_code(503);
    $facts['database'] = 'does not answer: ' . $error->getMessage();
}
if (!str_starts_with($_SERVER['HTTP_USER_AGENT'] ?? '', 'Mozilla/')) {
    header('Content-Type: text/plain; charset=utf-8');
    foreach ($facts as $name => $value) {
        echo "$name $value\n";
    }
    exit;
}
header('Content-Type: text/html; charset=utf-8');
?>
<!DOCTYPE html>
<html lang="en">
<title>lamp: PHP on <?= in_html($facts['node']) ?></title>
<meta name="viewport" content="width=device-width">
<style>
  body { font: 1.2rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }
  h1 { font-weight: 500 }
  th { text-align: left; font-weight: normal; color: #666; padding-right: 2rem; vertical-align: top }
</style>
<h1>PHP on <?= in_html($facts['node']) ?></h1>
<table>
<?php foreach ($facts as $name => $value): ?>
  <tr><th><?= in_html($name) ?><td><?= in_html($value) ?>

<?php endforeach ?>
</table>
<p>Reload the page: the other replica may answer, and the database counts the request. The admin page is on port 8082.
</html>
