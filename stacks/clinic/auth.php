<?php
// Logins. A session is a cookie that any replica can check, because all have the key: there is no state to share.
declare(strict_types=1);

require '/srv/common.php';

const COOKIE = 'session';
const LIFETIME = 8 * 3600; // seconds
// Which panel an account may use, and the file with its password.
const ACCOUNTS = [
    'staff' => ['panel' => 'staff', 'password' => '/run/secrets/staff_password'],
    'patient' => ['panel' => 'patients', 'password' => '/run/secrets/patient_password'],
];

function secret(string $file): string
{
    $content = trim((string) file_get_contents($file));
    if ($content === '') {
        throw new RuntimeException("$file is empty");
    }
    return $content;
}

function signature(string $payload): string
{
    return hash_hmac('sha256', $payload, secret('/run/secrets/session_key'));
}

/** The cookie's value: USER.END.SIGNATURE */
function signed(string $user): string
{
    $payload = $user . '.' . (time() + LIFETIME);
    return $payload . '.' . signature($payload);
}

/** Who has logged in; empty: nobody. */
function user(): string
{
    $parts = explode('.', $_COOKIE[COOKIE] ?? '');
    if (count($parts) !== 3 || !hash_equals(signature("$parts[0].$parts[1]"), $parts[2])) {
        return '';
    }
    return (int) $parts[1] > time() && isset(ACCOUNTS[$parts[0]]) ? $parts[0] : '';
}

function is_password_of(string $user, string $password): bool
{
    return isset(ACCOUNTS[$user]) && hash_equals(secret(ACCOUNTS[$user]['password']), $password);
}

function cookie(string $value, int $end): void
{
    setcookie(COOKIE, $value, ['expires' => $end, 'path' => '/', 'httponly' => true, 'samesite' => 'Lax']);
}

/** A panel's path out of a request, so that a login leads nowhere else. */
function panel_path(mixed $given, string $default): string
{
    $paths = array_map(fn (array $account): string => "/$account[panel]/", ACCOUNTS);
    return in_array($given, $paths, true) ? $given : $default;
}

/** For the gateway: may the session use the panel? */
function check(): never
{
    $user = user();
    if ($user !== '' && ACCOUNTS[$user]['panel'] === $_SERVER['PANEL']) {
        header("X-User: $user");
        http_response_code(204);
        exit;
    }
    http_response_code($user === '' ? 401 : 403);
    exit;
}

function login(): never
{
    $user = is_string($_POST['user'] ?? null) ? $_POST['user'] : '';
    $password = is_string($_POST['password'] ?? null) ? $_POST['password'] : '';
    if (!is_password_of($user, $password)) {
        form('Wrong name or password.', 403);
    }
    cookie(signed($user), time() + LIFETIME);
    redirect(panel_path($_POST['to'] ?? null, '/' . ACCOUNTS[$user]['panel'] . '/'));
}

function form(string $message = '', int $status = 200): never
{
    if (wants_text()) {
        answer_text(trim("$message\nlog in: curl -c cookies -d user=NAME -d password=... http://.../login") . "\n", $status);
    }
    $to = in_html(panel_path($_REQUEST['to'] ?? null, ''));
    $message = in_html($message);
    answer_page('Log in', <<<BODY
        <p>$message</p>
        <form method="post" action="/login">
          <input type="hidden" name="to" value="$to">
          <label>Name <input name="user" autocomplete="username" autofocus></label>
          <label>Password <input name="password" type="password" autocomplete="current-password"></label>
          <button>Log in</button>
        </form>
        <p>The accounts are <i>staff</i> and <i>patient</i>; their passwords are secrets of the Swarm.</p>
        BODY, $status);
}

function start(): never
{
    if (wants_text()) {
        answer_text("the clinic: /staff, /patients\n");
    }
    answer_page('The clinic', '<p><a href="staff/">Staff</a></p><p><a href="patients/">Patients</a></p>');
}

function forbidden(): never
{
    $user = user();
    if (wants_text()) {
        answer_text("not for $user\n", 403);
    }
    $back = '/' . (ACCOUNTS[$user]['panel'] ?? '') . '/';
    $form = '<form method="post" action="/logout"><button>Log out</button></form>';
    answer_page('Not for ' . $user, "<p><a href=\"$back\">Back</a></p>$form", 403);
}

$post = $_SERVER['REQUEST_METHOD'] === 'POST';
match (true) {
    $_SERVER['PATH_INFO'] === '/check' => check(),
    $_SERVER['PATH_INFO'] === '/forbidden' => forbidden(),
    $_SERVER['PATH_INFO'] === '/' => start(),
    $_SERVER['PATH_INFO'] === '/style.css' => answer_style(),
    $_SERVER['PATH_INFO'] === '/login' && $post => login(),
    $_SERVER['PATH_INFO'] === '/login' => form(),
    $_SERVER['PATH_INFO'] === '/logout' && $post => [cookie('', 1), redirect('/')],
    default => answer_text("not found\n", 404),
};
